"""Judgement: what is known of a canary in the step it is at, and how that stands in `status.rollout.verdict`. Pure.

Everything that the next verdict needs is in it, so a new leader goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from slicewise.pool.rollout.evidence import ODDS
from slicewise.pool.rollout.gate import Evidence, Verdict
from slicewise.pool.rollout.tally import Samples, Tally
from slicewise.pool.rollout.times import format_time, read_time

UNREADABLE: Final = "unreadable"
"""Cause of `NoData` where the counters cannot be read; without a cause no request came that says anything."""
NOTHING: Final = (0.0,) * len(ODDS)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted since the numbers in the status were written."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    """How long that was, by a clock that never steps."""
    reads: int = 0
    trouble: str = ""
    """Why the latest look does not tell all; empty where every gateway pod was read."""
    pending: int = 0
    """Requests of the canary that were running at the latest look and over the limit."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says, and what that rests on."""

    verdict: Verdict = Verdict.NO_DATA
    cause: str = ""
    message: str = ""
    outlook: str = ""
    """What the gate can tell at this traffic; empty until that can be said."""
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = field(default_factory=Evidence)
    limits: Mapping[str, Any] = field(default_factory=dict)
    """As `status.rollout.verdict.limits`."""
    pending: int = 0
    """Requests of the canary that run and are over the limit; what becomes of them is not known."""
    rate: float | None = None
    """Requests per second of both revisions together."""
    needed: int | None = None
    remaining: float | None = None
    """Seconds until a good canary passes."""
    watched: float = 0.0
    """Seconds in this step in which somebody looked, without those of a pause. Neither a wall clock that steps nor an operator
    that was away is in it.
    """
    window_from: float = 0.0
    """Of `watched`: when the present window began."""
    reads: int = 0
    since: float | None = None
    """When the step began, seconds since the epoch."""
    at: float | None = None
    """When this was written, seconds since the epoch."""


def write_judgement(judgement: Judgement | None) -> dict[str, Any] | None:
    """Return `status.rollout.verdict`."""
    if judgement is None:
        return None
    evidence = judgement.evidence
    fields = {
        "verdict": judgement.verdict.value,
        "cause": judgement.cause or None,
        "message": judgement.message or None,
        "outlook": judgement.outlook or None,
        "canary": _write_samples(judgement.tally.canary),
        "stable": _write_samples(judgement.tally.stable),
        "evidence": {
            "slowAbove": evidence.slow_above,
            "failedAbove": evidence.failed_above,
            "slowBelow": evidence.slow_below,
            "failedBelow": evidence.failed_below,
            "worseThanStable": evidence.worse_than_stable,
            "refusedMore": evidence.refused_more,
            "leftMore": evidence.left_more,
        },
        "comparison": " ".join(f"{value:.6g}" for ratios in _ratios(judgement.tally) for value in ratios),
        "pending": judgement.pending or None,
        "limits": dict(judgement.limits) or None,
        "requestsPerSecond": None if judgement.rate is None else round(judgement.rate, 3),
        "neededRequests": judgement.needed,
        "remainingSeconds": None if judgement.remaining is None else round(judgement.remaining),
        "watchedSeconds": round(judgement.watched, 1),
        "windowFrom": round(judgement.window_from, 1),
        "reads": judgement.reads,
        "since": format_time(judgement.since),
        "at": format_time(judgement.at),
    }
    return {key: value for key, value in fields.items() if value is not None}


def read_judgement(stored: object) -> Judgement | None:
    """Return what stands in `status.rollout.verdict`; what cannot be understood counts as not there."""
    if not isinstance(stored, Mapping):
        return None
    evidence: Mapping[str, Any] = stored.get("evidence") or {}
    ratios = _read_comparison(str(stored.get("comparison") or ""))
    name = stored.get("verdict")
    return Judgement(
        verdict=Verdict(name) if name in set(Verdict) else Verdict.NO_DATA,
        cause=stored.get("cause", ""),
        message=stored.get("message", ""),
        outlook=stored.get("outlook", ""),
        tally=Tally(_read_samples(stored.get("canary")), _read_samples(stored.get("stable")), *ratios),
        evidence=Evidence(
            slow_above=float(evidence.get("slowAbove", 1.0)),
            failed_above=float(evidence.get("failedAbove", 1.0)),
            slow_below=float(evidence.get("slowBelow", 1.0)),
            failed_below=float(evidence.get("failedBelow", 1.0)),
            worse_than_stable=float(evidence.get("worseThanStable", 1.0)),
            refused_more=float(evidence.get("refusedMore", 1.0)),
            left_more=float(evidence.get("leftMore", 1.0)),
        ),
        limits=stored.get("limits") or {},
        pending=int(stored.get("pending", 0)),
        rate=stored.get("requestsPerSecond"),
        needed=stored.get("neededRequests"),
        remaining=stored.get("remainingSeconds"),
        watched=float(stored.get("watchedSeconds", 0.0)),
        window_from=float(stored.get("windowFrom", 0.0)),
        reads=int(stored.get("reads", 0)),
        since=read_time(stored.get("since")),
        at=read_time(stored.get("at")),
    )


def _ratios(tally: Tally) -> tuple[tuple[float, ...], ...]:
    return tally.slow_ratios, tally.failed_ratios, tally.refused_ratios, tally.left_ratios


_COUNTS: Final = {
    "requests": "requests",
    "failed": "failed",
    "timed": "timed",
    "slow": "slow",
    "refused": "refused",
    "left": "left",
    "settled": "settled",
    "settledHere": "settled_here",
}
"""Name in the status → field of `Samples`."""


def _write_samples(samples: Samples) -> dict[str, int]:
    return {name: getattr(samples, field_name) for name, field_name in _COUNTS.items()}


def _read_samples(stored: object) -> Samples:
    counts = stored if isinstance(stored, Mapping) else {}
    read = Samples(**{field_name: int(counts.get(name, 0)) for name, field_name in _COUNTS.items()})
    return read if 0 <= read.slow <= read.timed and min(read.failed, read.refused, read.left) >= 0 else Samples()


def _read_comparison(text: str) -> tuple[tuple[float, ...], ...]:
    """What an earlier version of the operator wrote, with fewer comparisons, is no use to this one: they begin anew."""
    nothing = (NOTHING,) * len(_ratios(Tally()))
    try:
        values: Sequence[float] = [float(part) for part in text.split()]
    except ValueError:
        return nothing
    if len(values) != len(nothing) * len(NOTHING) or not all(map(isfinite, values)):
        return nothing
    return tuple(tuple(values[start : start + len(NOTHING)]) for start in range(0, len(values), len(NOTHING)))
