"""A rollout as its pool's status tells it: phase, step, and the gate's verdict with its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.api.v1alpha1.status import CountsStatus, PoolStatus, RolloutStatus, VerdictStatus
from slicewise.pool.rollout.state import Phase
from slicewise.pool.rollout.verdict_record import read_samples

MOVING = frozenset({Phase.PLACING, Phase.WARMING, Phase.ANALYSING, Phase.PROMOTING, Phase.ROLLING_BACK})
"""Phases in which something is under way."""


_GONE = (ConditionType.ROLLOUT_PROGRESSING, Reason.STABLE_GONE)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is shown of the requests of one revision; the operator's `Samples` say what each number means."""

    requests: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0
    refused: int = 0
    left: int = 0


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


def read_status(pool: Mapping[str, Any]) -> PoolStatus:
    """Return the status of a pool, as far as this version understands it."""
    return PoolStatus.read(pool.get("status") or {})


def read_rollout(status: PoolStatus) -> Rollout:
    """Return the rollout that a pool's status tells of; `Idle` where it tells of none."""
    told = status.rollout or RolloutStatus()
    return Rollout(
        phase=Phase(told.phase) if told.phase in set(Phase) else Phase.IDLE,
        target=told.target or "",
        started_at=told.started_at or "",
        phase_since=told.phase_since or "",
        step=told.step,
        steps=told.steps,
        weight=told.weight,
        zone=told.zone,
        paused=bool(told.paused),
        held=bool(told.held),
        abort_reason=told.abort_reason or "",
        message=told.message or "",
        stable_gone=any((entry.type, entry.reason) == _GONE for entry in status.conditions or ()),
        request_trouble=told.request or "",
        verdict=None if told.verdict is None else _read_verdict(told.verdict, told.steps or 1),
    )


def _read_verdict(told: VerdictStatus, steps: int) -> Verdict:
    return Verdict(
        verdict=told.verdict or "",
        cause=told.cause or "",
        message=told.message or "",
        outlook=told.outlook or "",
        canary=_read_counts(told.canary),
        stable=_read_counts(told.stable),
        evidence={} if told.evidence is None else told.evidence.model_dump(by_alias=True, exclude_none=True),
        limits={} if told.limits is None else told.limits.model_dump(by_alias=True, exclude_none=True),
        requests_per_second=told.requests_per_second,
        pending=told.pending or 0,
        needed_requests=told.needed_requests,
        remaining_seconds=told.remaining_seconds,
        at=told.at or "",
        steps=steps,
    )


def _read_counts(told: CountsStatus | None) -> Counts:
    """More may have been refused or left than was begun since the counters were first read; that is shown as no request."""
    read = read_samples(told)
    return Counts(max(0, read.requests), read.failed, read.timed, read.slow, read.refused, read.left)
