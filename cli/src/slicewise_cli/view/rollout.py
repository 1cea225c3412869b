"""The rollout in a pool's status: its phase, its step, and the gate's verdict with its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.api.v1alpha1.status import CountsStatus, PoolStatus, RolloutStatus, VerdictStatus
from slicewise.pool.rollout.state import Phase
from slicewise.pool.rollout.verdict_record import read_samples

MOVING = frozenset({Phase.PLACING, Phase.WARMING, Phase.ANALYSING, Phase.PROMOTING, Phase.ROLLING_BACK})
"""Phases of a rollout that is in progress."""


_GONE = (ConditionType.ROLLOUT_PROGRESSING, Reason.STABLE_GONE)


@dataclass(frozen=True, slots=True)
class Counts:
    """Request counts of one revision; the operator's `Samples` define each number."""

    requests: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0
    refused: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's verdict and its numbers; those that the status does not have are None."""

    verdict: str
    cause: str = ""
    message: str = ""
    outlook: str = ""
    """What the gate can detect at this traffic."""
    canary: Counts = Counts()
    stable: Counts = Counts()
    evidence: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    requests_per_second: float | None = None
    """Of both revisions together."""
    pending: int = 0
    """Running requests of the canary that are over the limit."""
    needed_requests: int | None = None
    remaining_seconds: int | None = None
    at: str = ""
    """When the numbers were written, RFC 3339."""
    steps: int = 1
    """Steps of the rollout; the probability of a wrong abort is divided among them."""

    @property
    def alpha(self) -> float | None:
        """The probability of a wrong verdict that the spec allows: 0.01 for a confidence of 99 %."""
        text = str(self.limits.get("confidence", "")).removesuffix("%")
        try:
            return round(1 - float(text) / 100, 9)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Rollout:
    """The state of a rollout. Times are in RFC 3339, as in the status; empty if the status has none."""

    phase: Phase
    target: str = ""
    started_at: str = ""
    phase_since: str = ""
    step: int | None = None
    """Counted from 0."""
    steps: int | None = None
    weight: int | None = None
    """Weight of the target, in per cent of the requests."""
    zone: str | None = None
    paused: bool = False
    held: bool = False
    """Undecided at the deadline, so it waits for a decision."""
    abort_reason: str = ""
    message: str = ""
    stable_gone: bool = False
    """Whether the stable revision has no workers to roll back to."""
    request_trouble: str = ""
    """The operator's error about the request on the pool."""
    verdict: Verdict | None = None

    @property
    def moving(self) -> bool:
        """Whether the rollout is in progress, forward or back."""
        return self.phase in MOVING


def read_status(pool: Mapping[str, Any]) -> PoolStatus:
    """Return the status of a pool, as far as this version understands it."""
    return PoolStatus.read(pool.get("status") or {})


def read_rollout(status: PoolStatus) -> Rollout:
    """Return the rollout in a pool's status; `Idle` without one."""
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
