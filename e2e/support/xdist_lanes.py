"""`pytest -n`: which tests run in which process, and what is printed while they run.

First all processes run what is no story, while the clusters stand still (`make test` pauses them). Then the first processes are
lanes: each runs stories on its own cluster (`programs.py` gives it one). Both at once would ask for more than two cores have, and
what is late then looks like a failure.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.support.programs import CLUSTERS
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_HERE = Path(__file__).parent.parent
_ON_A_CLUSTER = tuple(f"{_HERE.name}/{folder}/" for folder in ("scenarios", "deviceplugin"))
_ENOUGH = 2
"""Tests that a process has before it gets more: xdist's processes begin a test when they know the next one."""


class DealOut(LoadScopeScheduling):
    """Give stories one by one to the lanes, and the other tests by file, since those of a file share servers."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if _is_story(nodeid) else nodeid.split("::", 1)[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope = self._next_for(node)
        if scope is not None:
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if node.shutting_down:
            return
        if self._next_for(node) is None:
            node.shutdown()
        elif self._pending_of(self.assigned_work[node]) <= _ENOUGH:
            self._assign_work_unit(node)

    def _next_for(self, node: WorkerController) -> str | None:
        """Return the unit that this process runs next, None where there is none for it."""
        stories = next((scope for scope in self.workqueue if _is_story(scope)), None)
        others = next((scope for scope in self.workqueue if not _is_story(scope)), None)
        lanes = [known for known in self.nodes if _lane(known) < len(CLUSTERS)]
        # Where every lane's process has crashed, the process that replaces it runs the stories.
        return others or (stories if node in lanes or not lanes else None)


def _is_story(scope: str) -> bool:
    return scope.startswith(_ON_A_CLUSTER)


def _lane(node: WorkerController) -> int:
    return int(node.gateway.id.removeprefix("gw"))


class NameAtOnce:
    """Names a test when it fails. pytest's own account of it comes at the end, half an hour later."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line of its own."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message.partition("\n")[0] if crash is not None else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(f"failed ({report.when}): {report.nodeid} {why}", red=True)
