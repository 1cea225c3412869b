"""What the watchdog concludes from one look: container memory, device memory, device health, engine, in that order. Pure.

Readings in, verdict out. `watch.py` takes the readings and carries the verdict out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.faults import DeviceReading, judge_device
from slicewise_worker.health.pressure import Memory, Pressure, PressureLimit, describe, weigh

_CONTAINER = "the container's memory"
_MORE_CONTAINER = "give the worker more memory, or lower spec.engine.parallelSequences"
_DEVICE = "the device's memory"
_MORE_DEVICE = "something else takes memory of the same device: give the worker a slice of its own, or a larger one"
_TURNING_SECONDS = 1.0
"""Between two looks while a memory's pressure may be about to change."""


@dataclass(frozen=True, slots=True)
class WatchdogLimits:
    """`spec.health` of the pool."""

    pressure: PressureLimit
    period: float
    """Seconds between two looks."""
    stall_after: float
    """Seconds that a busy engine may go without a step."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One look; None is what could not be read, and says nothing."""

    container: Memory | None
    device: DeviceReading | None
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class WatchdogState:
    """What is remembered from look to look."""

    container: Pressure = field(default_factory=Pressure)
    device: Pressure = field(default_factory=Pressure)
    planned: int | None = None
    """Bytes of the device's memory that are counted on; None until there is a reading."""


@dataclass(frozen=True, slots=True)
class End:
    """The worker cannot go on: it ends with this reason and these words in its termination log."""

    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`unfit` says why the worker is not ready, and is empty when it is; `look_in`: seconds until the next look."""

    state: WatchdogState
    unfit: str
    end: End | None
    look_in: float


def conclude(before: WatchdogState, readings: Readings, limits: WatchdogLimits, now: float) -> Conclusion:
    """Return what `readings` at `now` (monotonic seconds) mean after all earlier ones."""
    memory = device_memory(before, readings.device)
    at = readings.device.at if readings.device else now
    state = replace(
        before,
        container=weigh(before.container, readings.container, limits.pressure, now),
        device=weigh(before.device, memory, limits.pressure, at),
        planned=memory.planned if before.planned is None and memory else before.planned,
    )
    unfit = ""
    if state.container.high:
        unfit = describe(_CONTAINER, readings.container, limits.pressure, _MORE_CONTAINER)
    elif state.device.high:
        unfit = describe(_DEVICE, memory, limits.pressure, _MORE_DEVICE)
    turning = state.container.turning or state.device.turning
    look_in = min(limits.period, _TURNING_SECONDS, limits.pressure.seconds) if turning else limits.period
    fault = judge_device(readings.device)
    end = End(*fault) if fault else stalled(readings.progress, limits.stall_after, now)
    return Conclusion(state, unfit, end, look_in)


def device_memory(state: WatchdogState, reading: DeviceReading | None) -> Memory | None:
    """Return the device's memory, None where it was not read."""
    if reading is None or reading.used is None or reading.total is None:
        return None
    planned = reading.used if state.planned is None else state.planned
    return Memory(reading.used, reading.total, min(planned, reading.total))


def stalled(progress: Progress | None, stall_after: float, now: float) -> End | None:
    """Return the end of an engine that is busy and has ended no step for longer than `stall_after` seconds. A slow one ends steps."""
    if progress is None or not progress.busy or now - progress.since <= stall_after:
        return None
    message = (
        f"busy, but no step has ended for {now - progress.since:.0f} s ({progress.steps} steps in all): the device or its driver hangs. "
        f"Where one step may take so long, raise spec.health.stallAfter, {stall_after:g} s now, or lower spec.engine.promptChunkTokens"
    )
    return End(EndReason.ENGINE_STALLED, message)
