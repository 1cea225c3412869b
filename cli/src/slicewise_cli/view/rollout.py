"""A rollout as its pool's status tells it: phase, step, and the gate's verdict with its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.pool.rollout.state import Phase

MOVING = frozenset({Phase.PLACING, Phase.WARMING, Phase.ANALYSING, Phase.PROMOTING, Phase.ROLLING_BACK})
"""Phases in which something is under way."""


_GONE = (ConditionType.ROLLOUT_PROGRESSING, Reason.STABLE_GONE)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one revision: those of latency since the step began, all others since the attempt began."""

    requests: int = 0
    """Given to it, and neither refused nor left."""
    failed: int = 0
    timed: int = 0
    """Those of which it is known whether they were slow; `slow` are among them."""
    slow: int = 0
    refused: int = 0
    """Answered with a 4xx."""
    left: int = 0
    """Left by the client before the limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, and what that rests on. Numbers that the status does not have are None."""

    verdict: str
    cause: str = ""
    message: str = ""
    outlook: str = ""
    """What the gate can tell at this traffic."""
    canary: Counts = Counts()
    stable: Counts = Counts()
    evidence: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    requests_per_second: float | None = None
    """Of both revisions together."""
    pending: int = 0
    """Requests of the canary that run and are over the limit."""
    needed_requests: int | None = None
    remaining_seconds: int | None = None
    at: str = ""
    """When the numbers were written, RFC 3339."""
    steps: int = 1
    """Steps of the rollout, over which the chance of a wrong abort is shared out."""

    @property
    def alpha(self) -> float | None:
        """The chance of a wrong verdict that the spec allows: 0.01 for a confidence of 99 %."""
        text = str(self.limits.get("confidence", "")).removesuffix("%")
        try:
            return round(1 - float(text) / 100, 9)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a rollout is. Times are as in the status, RFC 3339; empty where the status has none."""

    phase: Phase
    target: str = ""
    started_at: str = ""
    phase_since: str = ""
    step: int | None = None
    """Counted from 0."""
    steps: int | None = None
    weight: int | None = None
    """Per cent of the requests that the target gets."""
    zone: str | None = None
    paused: bool = False
    held: bool = False
    """Undecided at the deadline: it waits for somebody."""
    abort_reason: str = ""
    message: str = ""
    stable_gone: bool = False
    """Whether there is nothing to roll back to."""
    request_trouble: str = ""
    """What the operator finds wrong with the request on the pool."""
    verdict: Verdict | None = None

    @property
    def moving(self) -> bool:
        """Whether a revision is on its way in or out."""
        return self.phase in MOVING


def read_rollout(pool: Mapping[str, Any]) -> Rollout:
    """Return the rollout that a pool's status tells of; `Idle` where it tells of none."""
    told = (pool.get("status") or {}).get("rollout") or {}
    phase = told.get("phase")
    return Rollout(
        phase=Phase(phase) if phase in set(Phase) else Phase.IDLE,
        target=told.get("target") or "",
        started_at=told.get("startedAt") or "",
        phase_since=told.get("phaseSince") or "",
        step=told.get("step"),
        steps=told.get("steps"),
        weight=told.get("weight"),
        zone=told.get("zone"),
        paused=bool(told.get("paused")),
        held=bool(told.get("held")),
        abort_reason=told.get("abortReason") or "",
        message=told.get("message") or "",
        stable_gone=_stable_gone(pool),
        request_trouble=told.get("request") or "",
        verdict=_read_verdict(told.get("verdict"), told.get("steps") or 1),
    )


def _stable_gone(pool: Mapping[str, Any]) -> bool:
    conditions = (pool.get("status") or {}).get("conditions") or ()
    return any((entry.get("type"), entry.get("reason")) == _GONE for entry in conditions)


def _read_verdict(told: Mapping[str, Any] | None, steps: int) -> Verdict | None:
    if not told:
        return None
    return Verdict(
        verdict=told.get("verdict") or "",
        cause=told.get("cause") or "",
        message=told.get("message") or "",
        outlook=told.get("outlook") or "",
        canary=_read_counts(told.get("canary")),
        stable=_read_counts(told.get("stable")),
        evidence=dict(told.get("evidence") or {}),
        limits=dict(told.get("limits") or {}),
        requests_per_second=told.get("requestsPerSecond"),
        pending=int(told.get("pending") or 0),
        needed_requests=told.get("neededRequests"),
        remaining_seconds=told.get("remainingSeconds"),
        at=told.get("at") or "",
        steps=steps,
    )


def _read_counts(told: Mapping[str, Any] | None) -> Counts:
    names = ("requests", "failed", "timed", "slow", "refused", "left")
    return Counts(**{name: max(0, int((told or {}).get(name) or 0)) for name in names})
