"""Judgement: what is known of a canary in the step it is at, and how that stands in `status.rollout.verdict`. Pure.

Everything that the next verdict needs is in it, so a new leader goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise.pool.rollout.evidence import ODDS
from slicewise.pool.rollout.gate import Evidence, Samples, Tally, Verdict
from slicewise.pool.rollout.times import format_time, read_time

UNREADABLE: Final = "unreadable"
"""Cause of `NoData` where the counters cannot be read; without a cause not one request came."""
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
        },
        "comparison": " ".join(
            f"{value:.6g}" for value in (*judgement.tally.slow_ratios, *judgement.tally.failed_ratios)
        ),
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
    slow, failed = _read_comparison(str(stored.get("comparison") or ""))
    name = stored.get("verdict")
    return Judgement(
        verdict=Verdict(name) if name in set(Verdict) else Verdict.NO_DATA,
        cause=stored.get("cause", ""),
        message=stored.get("message", ""),
        outlook=stored.get("outlook", ""),
        tally=Tally(_read_samples(stored.get("canary")), _read_samples(stored.get("stable")), slow, failed),
        evidence=Evidence(
            slow_above=float(evidence.get("slowAbove", 1.0)),
            failed_above=float(evidence.get("failedAbove", 1.0)),
            slow_below=float(evidence.get("slowBelow", 1.0)),
            failed_below=float(evidence.get("failedBelow", 1.0)),
            worse_than_stable=float(evidence.get("worseThanStable", 1.0)),
        ),
        limits=stored.get("limits") or {},
        rate=stored.get("requestsPerSecond"),
        needed=stored.get("neededRequests"),
        remaining=stored.get("remainingSeconds"),
        watched=float(stored.get("watchedSeconds", 0.0)),
        window_from=float(stored.get("windowFrom", 0.0)),
        reads=int(stored.get("reads", 0)),
        since=read_time(stored.get("since")),
        at=read_time(stored.get("at")),
    )


def _write_samples(samples: Samples) -> dict[str, int]:
    return {"requests": samples.requests, "failed": samples.failed, "timed": samples.timed, "slow": samples.slow}


def _read_samples(stored: object) -> Samples:
    counts = stored if isinstance(stored, Mapping) else {}
    requests, failed, timed, slow = (int(counts.get(name, 0)) for name in ("requests", "failed", "timed", "slow"))
    if not (0 <= failed <= requests and 0 <= slow <= timed):
        return Samples()
    return Samples(requests, failed, timed, slow)


def _read_comparison(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    try:
        values: Sequence[float] = [float(part) for part in text.split()]
    except ValueError:
        values = ()
    if len(values) != 2 * len(NOTHING):
        return NOTHING, NOTHING
    return tuple(values[: len(NOTHING)]), tuple(values[len(NOTHING) :])
