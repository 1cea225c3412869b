"""What the readings of a device say about its health: whether it is lost, or broken for good. Pure; `nvml.py` takes the readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slicewise_worker.engine.ends import EndReason

APPLICATION_XIDS: Final = frozenset({13, 31, 43, 45, 68, 109})
"""Errors that a program makes itself, and the engine reports: those that NVIDIA's device plugin passes over, too."""
_MEANINGS: Final = {
    48: "an error in its memory that could not be corrected",
    62: "its internal micro-controller has halted",
    63: "a row of its memory had to be remapped",
    64: "a row of its memory could not be remapped",
    74: "an error of NVLink",
    79: "it has fallen off the bus",
    92: "many errors in its memory",
    94: "an error in its memory, contained to one program",
    95: "an error in its memory that was not contained",
    119: "its system processor does not answer",
    120: "its system processor has failed",
}
REPLACE: Final = (
    "A restart on the same device does not help: where a slice is free in the zone, another worker takes it and this one goes. Drain the "
    "node, and reset or replace the GPU"
)
"""What to do with a device that a restart does not mend."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The device does not answer any more; `words` are those of its library."""

    words: str


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """One look at a device; None is what could not be read, and says nothing."""

    at: float
    """When, in monotonic seconds."""
    name: str = "the device"
    """Its UUID."""
    used: int | None = None
    """Bytes of the slice's memory."""
    total: int | None = None
    lost: Lost | None = None
    xids: tuple[int, ...] = ()
    """Of all critical events of this slice since the worker started."""
    uncorrected: int | None = None
    """Errors in the memory since the first reading: older ones were dealt with by a reset or a remapped row."""


def judge_device(reading: DeviceReading | None) -> tuple[EndReason, str] | None:
    """Return why a worker cannot go on with its device, and what to do, None while it can."""
    if reading is None:
        return None
    if reading.lost is not None:
        return EndReason.DEVICE_LOST, f"{reading.name} is lost: {reading.lost.words}. {REPLACE}"
    for xid in reading.xids:
        if xid not in APPLICATION_XIDS:
            what = f", {_MEANINGS[xid]}" if xid in _MEANINGS else ""
            return EndReason.DEVICE_FAULT, f"{reading.name} reports Xid {xid}{what}. {REPLACE}"
    if reading.uncorrected:
        message = f"{reading.name} has new errors in its memory (ECC) that could not be corrected: {reading.uncorrected}. {REPLACE}"
        return EndReason.DEVICE_MEMORY_FAULT, message
    return None
