"""The state of a rollout as it stands in `status.rollout`: its phases, and how it is read and written.

Only `machine.py` changes it; the manifests are a function of the spec and of this. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from slicewise.api.v1alpha1.status import PoolStatus, RevisionsStatus, RolloutStatus
from slicewise.pool.rollout.times import format_time, read_time
from slicewise.pool.rollout.verdict_record import VerdictRecord, read_record, write_record


class Phase(StrEnum):
    """Where a rollout is."""

    IDLE = "Idle"
    """One revision serves and the spec asks for no other."""
    PLACING = "Placing"
    """A slice for the canary's worker is being found and its worker scheduled."""
    WARMING = "Warming"
    """The canary's worker loads its weights and answers its first requests; those are not counted."""
    ANALYSING = "Analysing"
    """The canary takes its weight of the traffic and is judged."""
    PROMOTING = "Promoting"
    """Workers of the stable revision are replaced, one by one, zone by zone."""
    ROLLING_BACK = "RollingBack"
    """Workers of the canary are replaced by stable ones, one by one."""
    ROLLED_BACK = "RolledBack"
    """The canary was given up. Nothing happens until the spec changes or a retry is requested."""


GIVEN_UP: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK})
"""The phases of a rollout whose canary is removed, or was."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The state of a rollout that is kept between passes."""

    phase: Phase = Phase.IDLE
    stable: str | None = None
    """Hash of the revision that serves."""
    served: bool = False
    """Whether the stable revision has ever had a worker that took requests. One that has not is no stable: `standing.py`."""
    down_since: float | None = None
    """Since when a stable revision that has served has no worker that takes requests, seconds since the epoch; None while it has."""
    target: str | None = None
    """Hash of the revision that is rolled out, or was given up (phase RolledBack)."""
    zone: str | None = None
    """Zone of the canary's worker once a slice is planned; None while none can be had."""
    surge: bool = False
    """Whether the canary's worker is on a free slice; else one stable worker of `zone` was removed."""
    started_at: float | None = None
    """When the rollout began, seconds since the epoch."""
    phase_since: float | None = None
    """When this phase began, seconds since the epoch."""
    step: int | None = None
    """Which of the canary's steps it is at, counted from 0; None where it is judged by its readiness alone."""
    steps: int | None = None
    """How many steps there were when this was written."""
    weight: int | None = None
    """Per cent of the requests that the canary's step gives it, kept while its worker is away. While one revision replaces the other:
    the weight that was last recorded. What it gets now is `traffic.canary_weight`."""
    step_since: float | None = None
    """When the step began, or `weight` last changed while it is promoted; seconds since the epoch."""
    unplaced_since: float | None = None
    """Since when a worker fits no node although a slice is free, seconds since the epoch: `unplaced.py`."""
    paused: bool = False
    """Whether it was paused when this was written."""
    held: bool = False
    """Whether the canary was undecided at the deadline, and waits for more requests or a request from a person."""
    abort_reason: str | None = None
    """Why the canary was given up (CamelCase); None when the user took it back."""
    message: str = ""
    record: VerdictRecord | None = None
    """The gate's latest verdict on the canary, with its numbers."""
    request: str = ""
    """What is wrong with the request on the pool; empty if nothing is."""

    @property
    def canary(self) -> str | None:
        """Hash of the revision beside the stable one that has or gets workers; None without one."""
        return self.target if self.phase not in {Phase.IDLE, Phase.ROLLED_BACK} else None


def to(state: RolloutState, phase: Phase, now: float, message: str) -> RolloutState:
    """Return `state` in another phase. Only a canary that is still to be judged can be held as undecided."""
    held = state.held and phase in {Phase.PLACING, Phase.WARMING, Phase.ANALYSING}
    return replace(state, phase=phase, phase_since=now, message=message, held=held)


def read_state(status: PoolStatus) -> RolloutState:
    """Return the state stored in `status`; what is missing reads as idle."""
    rollout, revisions = status.rollout or RolloutStatus(), status.revisions or RevisionsStatus()
    return RolloutState(
        phase=Phase(rollout.phase) if rollout.phase in set(Phase) else Phase.IDLE,
        stable=revisions.stable,
        served=_served(rollout, revisions),
        down_since=read_time(rollout.stable_down_since),
        target=rollout.target,
        zone=rollout.zone,
        surge=bool(rollout.surge),
        started_at=read_time(rollout.started_at),
        phase_since=read_time(rollout.phase_since),
        step=rollout.step,
        steps=rollout.steps,
        weight=(rollout.weight if rollout.step_weight is None else rollout.step_weight) or None,
        step_since=read_time(rollout.step_since),
        unplaced_since=read_time(rollout.unplaced_since),
        paused=bool(rollout.paused),
        held=bool(rollout.held),
        abort_reason=rollout.abort_reason,
        message=rollout.message or "",
        record=None if rollout.verdict is None else read_record(rollout.verdict),
        request=rollout.request or "",
    )


def _served(rollout: RolloutStatus, revisions: RevisionsStatus) -> bool:
    """Whether the recorded stable revision served. Older versions did not write that; theirs is a stable until it counts as gone."""
    return revisions.stable is not None and rollout.stable_served is not False


def recorded_weight(status: PoolStatus) -> int | None:
    """Return the per cent of the requests that the canary had by the last pass: what it has where a pass leaves the gateway alone."""
    return None if status.rollout is None else status.rollout.weight


def write_state(state: RolloutState, weight: int | None) -> RolloutStatus:
    """Return `status.rollout` for `state`. `weight`: per cent of the requests that the canary gets now."""
    return RolloutStatus(
        phase=state.phase.value,
        stable_served=state.served,
        stable_down_since=format_time(state.down_since),
        target=state.target,
        zone=state.zone,
        surge=state.surge or None,
        started_at=format_time(state.started_at),
        phase_since=format_time(state.phase_since),
        step=state.step,
        steps=state.steps,
        weight=weight,
        step_weight=None if state.canary is None else state.weight or 0,
        step_since=format_time(state.step_since),
        unplaced_since=format_time(state.unplaced_since),
        paused=state.paused or None,
        held=state.held or None,
        abort_reason=state.abort_reason,
        message=state.message or None,
        request=state.request or None,
        verdict=None if state.record is None else write_record(state.record),
    )
