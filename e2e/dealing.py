"""`pytest -n`: which tests stay in one process, and what is said while they run."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_HERE = Path(__file__).parent


class DealOut(LoadScopeScheduling):
    """Which tests stay in one process: all that use the one cluster; of the others those of a file, which share servers."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return _HERE.name if file.startswith(f"{_HERE.name}/") else file


class NameAtOnce:
    """Names a test when it fails. pytest's own account of it comes at the end, most of an hour later."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line of its own."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message.partition("\n")[0] if crash is not None else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(f"failed ({report.when}): {report.nodeid} {why}", red=True)
