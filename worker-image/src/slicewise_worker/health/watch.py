"""Looks at the worker while it serves, and carries out what `watchdog.py` concludes. Called by the server; never blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from slicewise_worker.engine.cgroup import memory_held, memory_limit
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.pressure import Memory
from slicewise_worker.health.state import WorkerState
from slicewise_worker.health.watchdog import End, Readings, WatchdogLimits, WatchdogState, conclude

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """What the worker counts on of the container's memory, in bytes."""

    container: int
    mapped: int
    """Of which pages of the weights' file that each token reads."""


class Watch:
    """Takes the readings when they are due, and remembers what was concluded."""

    def __init__(
        self, state: WorkerState, planned: Planned, limits: WatchdogLimits, progress: Callable[[], Progress]
    ) -> None:
        self._worker = state
        self._limits = limits
        self._progress = progress
        self._mapped = planned.mapped
        # What is there before the first request counts as planned, whatever the plan says.
        self._planned = max(planned.container, memory_held(kept_files=planned.mapped) or 0)
        self._state = WatchdogState()
        self._due = 0.0

    def container(self) -> Memory | None:
        """Return the container's memory; None where it has no limit or the cgroup cannot be read."""
        limit, used = memory_limit(), memory_held(kept_files=self._mapped)
        return None if limit is None or used is None else Memory(used, limit, min(self._planned, limit))

    def look(self, now: float) -> End | None:
        """Look if it is time to, `now` in monotonic seconds; return why the worker has to end, None while it need not."""
        if now < self._due:
            return None
        found = conclude(self._state, Readings(self.container(), self._progress()), self._limits, now)
        if bool(found.unfit) is not bool(self._worker.unfit):
            log.warning("watchdog", ready=not found.unfit, message=found.unfit or "the pressure is over")
        self._state, self._worker.unfit, self._due = found.state, found.unfit, now + found.look_in
        return found.end
