"""What the lanes of one run know of each other: which stories are over, and on which cluster they ran."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from e2e.support.polling import eventually
from e2e.support.programs import CLUSTER


class Lanes:
    """A file per story that is over, in a folder that all processes of a `pytest -n` run share; its text names the cluster."""

    def __init__(self, paths: pytest.TempPathFactory) -> None:
        base = paths.getbasetemp()
        self._folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "stories-that-are-over"

    def over(self, item: pytest.Item) -> None:
        """Note that a story is over."""
        self._folder.mkdir(exist_ok=True)
        self._file(item).write_text(CLUSTER)

    def wait_for(self, items: list[pytest.Item], within: float) -> set[str]:
        """Wait until all of these stories are over; return the clusters they ran on."""

        def check() -> set[str]:
            missing = [item.name for item in items if not self._file(item).exists()]
            assert not missing, f"{len(missing)} stories are not over: {missing[:5]}"
            return {self._file(item).read_text() for item in items}

        return eventually("the stories of all lanes are over", check, within, every=2)

    def _file(self, item: pytest.Item) -> Path:
        return self._folder / "".join(letter if letter.isalnum() else "-" for letter in item.nodeid)
