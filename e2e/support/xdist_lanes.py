"""`pytest -n`: which tests run in which process, and what is printed while they run.

The first processes are lanes: each runs stories on its own cluster (`programs.py` gives it one). They begin once the other processes
have been dealt all that is no story; until then the clusters stand still (`make test` pauses them). Both at once would ask for more
than two cores have, and what is late then looks like a failure. Those processes end with their tests, and so do the servers that
they share among these.
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

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Note it; the lanes begin after the last of the other tests was dealt out."""
        super().mark_test_complete(node, item_index, duration)
        for lane in self._lanes():
            if lane is not node:
                self._reschedule(lane)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test during which the process crashed. It has failed; xdist would run it again, in each process that replaces one."""
        workload = self.assigned_work.pop(node)
        for unit in workload.values():
            crashed = next((test for test, over in unit.items() if not over), None)
            if crashed is not None:
                unit[crashed] = True
                break
        else:
            return None
        self.workqueue.update({scope: unit for scope, unit in workload.items() if not all(unit.values())})
        for known in self.nodes:
            self._reschedule(known)
        return crashed

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope = self._next_for(node)
        if scope is not None:
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if (
            node.shutting_down or node not in self.registered_collections
        ):  # the second: it starts, in place of one that crashed
            return
        if self._next_for(node) is not None:
            if self._pending_of(self.assigned_work[node]) <= _ENOUGH:
                self._assign_work_unit(node)
        elif not self._waits(node):
            node.shutdown()

    def _next_for(self, node: WorkerController) -> str | None:
        """Return the unit that this process runs next; None if it has none, or none yet."""
        story, other = self._first(True), self._first(False)
        if node not in self._lanes():
            return other
        return None if self._waits(node) else story if self._has_others() and story else other or story

    def _waits(self, node: WorkerController) -> bool:
        """Whether it is a lane, and the other processes have not been dealt all of their tests."""
        return node in self._lanes() and self._has_others() and None not in (self._first(True), self._first(False))

    def _first(self, story: bool) -> str | None:
        return next((scope for scope in self.workqueue if _is_story(scope) is story), None)

    def _lanes(self) -> list[WorkerController]:
        """The first processes; where each of them has crashed, those that replace them run the stories."""
        return [known for known in self.nodes if _lane(known) < len(CLUSTERS)] or self.nodes

    def _has_others(self) -> bool:
        """Whether there is a process beside the lanes."""
        return len(self._lanes()) < len(self.nodes)


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
