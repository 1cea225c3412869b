"""Whether a memory is under pressure: most of what the plan leaves of it is taken, and stays taken. Pure.

What is planned (weights, KV cache, buffers, what requests may take) is the base line, however large it is: a KV cache that fills up is
no pressure. The limit counts from there, so that 80 % of a memory that is planned to 90 % is 98 % of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_RELIEF: Final = 0.9
"""Part of the limit below which a memory is no longer under pressure: less would go to and fro."""
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory as it was read, in bytes; `planned` of it were counted on before the worker served."""

    used: int
    total: int
    planned: int = 0

    @property
    def ratio(self) -> float:
        """What is taken beyond the plan, as part of what the plan leaves: 0 to 1."""
        left = self.total - self.planned
        return min(1.0, max(0.0, (self.used - self.planned) / left)) if left > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PressureLimit:
    """Above which `Memory.ratio`, and for how many seconds, a memory is under pressure."""

    ratio: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Pressure:
    """What is known of one memory."""

    high: bool = False
    since: float | None = None
    """Since when (monotonic seconds) readings contradict `high`; None where the last one does not."""

    @property
    def turning(self) -> bool:
        """Whether the next readings may change `high`."""
        return self.since is not None


def weigh(before: Pressure, memory: Memory | None, limit: PressureLimit, now: float) -> Pressure:
    """Return what is known of a memory after a reading at `now` (monotonic seconds); None, which says nothing, changes nothing."""
    if memory is None:
        return before
    edge = limit.ratio * _RELIEF if before.high else limit.ratio
    if (memory.ratio > edge) is before.high:
        return replace(before, since=None)
    since = now if before.since is None else before.since
    if now - since >= limit.seconds:
        return Pressure(high=not before.high)
    return replace(before, since=since)


def describe(what: str, memory: Memory | None, limit: PressureLimit, more: str) -> str:
    """Return in words that `what` is under pressure, and what to do: `more` says how to get more of it. Figures are in MiB."""
    if memory is None:
        return f"{what} was under pressure when it was last read, and cannot be read now"
    edge = memory.planned + int(limit.ratio * max(0, memory.total - memory.planned))
    taken, total, planned = memory.used // _MIB, memory.total // _MIB, memory.planned // _MIB
    return (
        f"{what} is under pressure: {taken}Mi of {total}Mi are taken, {planned}Mi were planned, and the limit is {edge // _MIB}Mi "
        f"(spec.health.memoryPressure {limit.ratio * 100:.4g}% of what the plan leaves). The worker is ready again once enough is free; "
        f"if this happens often, {more}"
    )
