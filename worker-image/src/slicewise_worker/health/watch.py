"""Looks at the worker while it serves, and carries out what `watchdog.py` concludes. Called by the server; never blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from slicewise_worker.engine.cgroup import memory_held, memory_limit
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.faults import DeviceReading, judge_device
from slicewise_worker.health.pressure import Memory
from slicewise_worker.health.state import WorkerState
from slicewise_worker.health.watchdog import End, Readings, WatchdogLimits, WatchdogState, conclude, device_memory

if TYPE_CHECKING:
    from slicewise_worker.health.nvml import DeviceReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """What the worker counts on of the container's memory, in bytes."""

    container: int
    mapped: int
    """Of which pages of the weights' file that each token reads."""
    device: int | None = None
    """Bytes of the GPU's memory; None: what is in use at the first reading."""


class Watch:
    """Takes the readings when they are due, and remembers what was concluded."""

    def __init__(
        self,
        state: WorkerState,
        planned: Planned,
        limits: WatchdogLimits,
        progress: Callable[[], Progress],
        reader: DeviceReader | None = None,
    ) -> None:
        self._worker = state
        self._limits = limits
        self._progress = progress
        self._mapped = planned.mapped
        # What is there before the first request counts as planned, whatever the plan says.
        self._planned = max(planned.container, memory_held(kept_files=planned.mapped) or 0)
        self._state = WatchdogState(planned=planned.device)
        self._reader = reader
        self._due = 0.0

    def container(self) -> Memory | None:
        """Return the container's memory; None where it has no limit or the cgroup cannot be read."""
        limit, used = memory_limit(), memory_held(kept_files=self._mapped)
        return None if limit is None or used is None else Memory(used, limit, min(self._planned, limit))

    def device(self, now: float) -> DeviceReading | None:
        """Return what is known of the device, None on the CPU or where it cannot be read; `now` is monotonic."""
        return None if self._reader is None else self._reader.latest(now)

    def device_memory(self, now: float) -> Memory | None:
        """Return the device's memory, None as `device`."""
        return device_memory(self._state, self.device(now))

    def look(self, now: float) -> End | None:
        """Look if it is time to, or the device is broken; return why the worker has to end, None while it need not.

        `now` is in monotonic seconds.
        """
        reading = self.device(now)
        if now < self._due and judge_device(reading) is None:
            return None
        readings = Readings(self.container(), reading, self._progress())
        found = conclude(self._state, readings, self._limits, now)
        if bool(found.unfit) is not bool(self._worker.unfit):
            log.warning("watchdog", ready=not found.unfit, message=found.unfit or "the pressure is over")
        self._state, self._worker.unfit, self._due = found.state, found.unfit, now + found.look_in
        return found.end
