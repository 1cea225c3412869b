"""The verdict record: what is known of a canary in its current step, and how that stands in `status.rollout.verdict`. Pure.

Everything that the next verdict needs is in it, so a new leader goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Final

from slicewise.api.v1alpha1.status import CountsStatus, EvidenceStatus, LimitsStatus, VerdictStatus
from slicewise.pool.rollout.evidence import ODDS
from slicewise.pool.rollout.gate import Evidence, Verdict
from slicewise.pool.rollout.tally import Samples, Tally
from slicewise.pool.rollout.times import format_time, read_time

UNREADABLE: Final = "unreadable"
"""Cause of `NoData` where the counters cannot be read; without a cause no request came that says anything."""
NOTHING: Final = (0.0,) * len(ODDS)


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts since the numbers in the status were written."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    """How long that was, by a clock that never steps."""
    reads: int = 0
    trouble: str = ""
    """Why the latest look does not tell all; empty where every gateway pod was read."""
    pending: int = 0
    """Requests of the canary that were running at the latest look and over the limit."""


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """What the gate says, and what that rests on."""

    verdict: Verdict = Verdict.NO_DATA
    cause: str = ""
    message: str = ""
    outlook: str = ""
    """What the gate can tell at this traffic; empty until that can be said."""
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = field(default_factory=Evidence)
    limits: LimitsStatus | None = None
    """What the canary is held to; None before it was judged."""
    pending: int = 0
    """Requests of the canary that run and are over the limit; what becomes of them is not known."""
    rate: float | None = None
    """Requests per second of both revisions together."""
    needed: int | None = None
    remaining: float | None = None
    """Seconds until a good canary passes."""
    watched: float = 0.0
    """Seconds in this step in which counters were read, without those of a pause. Neither a wall clock that steps nor an operator
    that was away is in it.
    """
    window_from: float = 0.0
    """Of `watched`: when the present window began."""
    reads: int = 0
    since: float | None = None
    """When the step began, seconds since the epoch."""
    at: float | None = None
    """When this was written, seconds since the epoch."""


def write_record(record: VerdictRecord) -> VerdictStatus:
    """Return `status.rollout.verdict`."""
    return VerdictStatus(
        verdict=record.verdict.value,
        cause=record.cause or None,
        message=record.message or None,
        outlook=record.outlook or None,
        canary=CountsStatus(**asdict(record.tally.canary)),
        stable=CountsStatus(**asdict(record.tally.stable)),
        evidence=EvidenceStatus(**asdict(record.evidence)),
        comparison=" ".join(f"{value:.6g}" for ratios in _ratios(record.tally) for value in ratios),
        pending=record.pending or None,
        limits=record.limits,
        requests_per_second=None if record.rate is None else round(record.rate, 3),
        needed_requests=record.needed,
        remaining_seconds=None if record.remaining is None else round(record.remaining),
        watched_seconds=round(record.watched, 1),
        window_from=round(record.window_from, 1),
        reads=record.reads,
        since=format_time(record.since),
        at=format_time(record.at),
    )


def read_record(stored: VerdictStatus) -> VerdictRecord:
    """Return what stands in `status.rollout.verdict`."""
    evidence = stored.evidence or EvidenceStatus()
    return VerdictRecord(
        verdict=Verdict(stored.verdict) if stored.verdict in set(Verdict) else Verdict.NO_DATA,
        cause=stored.cause or "",
        message=stored.message or "",
        outlook=stored.outlook or "",
        tally=Tally(
            read_samples(stored.canary), read_samples(stored.stable), *_read_comparison(stored.comparison or "")
        ),
        evidence=Evidence(**evidence.model_dump(exclude_none=True)),
        limits=stored.limits,
        pending=stored.pending or 0,
        rate=stored.requests_per_second,
        needed=stored.needed_requests,
        remaining=stored.remaining_seconds,
        watched=stored.watched_seconds or 0.0,
        window_from=stored.window_from or 0.0,
        reads=stored.reads or 0,
        since=read_time(stored.since),
        at=read_time(stored.at),
    )


def _ratios(tally: Tally) -> tuple[tuple[float, ...], ...]:
    return tally.slow_ratios, tally.failed_ratios, tally.refused_ratios, tally.left_ratios


def read_samples(stored: CountsStatus | None) -> Samples:
    """Return stored counts; none where they contradict one another."""
    read = Samples() if stored is None else Samples(**stored.model_dump(exclude_none=True))
    return read if 0 <= read.slow <= read.timed and min(read.failed, read.refused, read.left) >= 0 else Samples()


def _read_comparison(text: str) -> tuple[tuple[float, ...], ...]:
    """What an earlier version of the operator wrote, with fewer comparisons, cannot be used by this one: they start again."""
    nothing = (NOTHING,) * len(_ratios(Tally()))
    try:
        values: Sequence[float] = [float(part) for part in text.split()]
    except ValueError:
        return nothing
    if len(values) != len(nothing) * len(NOTHING) or not all(map(isfinite, values)):
        return nothing
    return tuple(tuple(values[start : start + len(NOTHING)]) for start in range(0, len(values), len(NOTHING)))
