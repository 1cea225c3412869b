"""Scaling: the number of workers that `spec.autoscaling` asks for, and what keeps it from being the pool's. Pure.

Called by `read_demand`, once the slices are counted. The operator never writes `spec.replicas`: the number is in the status, and a new
leader goes on from there. `spec.replicas` holds all the same where it is 0, and where it was written through the scale subresource:
an autoscaler of another make, or a person, does that on purpose, and two that decide would undo each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1 import InferencePool, Reason
from slicewise.api.v1alpha1.autoscaling import AutoscalingSpec, ScalingMode
from slicewise.api.v1alpha1.scalars import AUTO
from slicewise.api.v1alpha1.status import AutoscalingStatus
from slicewise.autoscaling.decision import Bounds, Decision, decide
from slicewise.autoscaling.target import Target
from slicewise.autoscaling.window import Load
from slicewise.pool.cost import budget_cap
from slicewise.pool.observed import ObservedPod, ObservedPool
from slicewise.pool.outcome import Event, Scaled
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.sizes import sequences_of
from slicewise.pool.slices import UNBOUNDED, ZoneSlices

_NEWS: Final = 0.25
"""Part by which the cold start must differ from the one in the status to be written there."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What scaling by load says in this pass."""

    decision: Decision | None
    """None while no workers are desired."""
    target: Target
    """Requests that run or wait for each worker."""
    cold_start: float | None
    """Seconds from a worker's place on a node until it serves; None where none was measured."""
    held_by: Reason | None = None
    """Why the number is not the pool's; None where it is."""
    owner: str = ""
    """Who wrote `spec.replicas` through the scale subresource, where that holds."""

    @property
    def asleep(self) -> bool:
        """Whether the pool has no workers because no request came, and the next one wakes it."""
        return self.desired == 0

    @property
    def desired(self) -> int | None:
        """The pool's number of workers; None where `spec.replicas` decides."""
        return None if self.decision is None or self.held_by is not None else self.decision.desired


def find_scaling(
    pool: InferencePool, observed: ObservedPool, slices: Sequence[ZoneSlices], state: RolloutState
) -> Scaling | None:
    """Return the scaling of `pool`; None where the spec has none. `slices`: of the stable revision."""
    spec = pool.spec
    scaling = spec.autoscaling
    if scaling is None:
        return None
    target, cold = target_of(scaling, sequences_of(spec.engine, observed.pods)), _cold_start(observed)
    if spec.suspend or spec.replicas == 0:
        return Scaling(None, target, cold, Reason.SUSPENDED if spec.suspend else Reason.SCALED_TO_ZERO)
    floor = (spec.zones.min_available or 0) * max(1, len(slices))
    cap = budget_cap(pool, observed)
    bounds = Bounds(
        least=max(scaling.min_replicas, floor),
        most=max(1, scaling.max_replicas if cap is None else min(scaling.max_replicas, cap)),
        target=target,
        cold_start=cold,
        room=_room(slices),
        idle_after=duration_seconds(scaling.idle_after),
        may_shrink=state.canary is None,
    )
    status = observed.status
    known = status.autoscaling.desired if status.autoscaling is not None else None
    if known is None:
        known = spec.replicas if status.desired is None else status.desired
    decision = decide(bounds, observed.load, known)
    if scaling.mode is ScalingMode.ADVISE:
        return Scaling(decision, target, cold, Reason.ADVICE_ONLY)
    if observed.scaled_by and spec.replicas is not None:
        return Scaling(decision, target, cold, Reason.SCALED_BY_ANOTHER, observed.scaled_by)
    return Scaling(decision, target, cold)


def target_of(scaling: AutoscalingSpec, sequences: int) -> Target:
    """Return the requests that each worker should have. `sequences`: what a worker decodes together."""
    asked = scaling.target_requests_per_worker
    return Target.auto(sequences) if asked == AUTO else Target(float(asked))


def scaling_status(scaling: Scaling | None) -> AutoscalingStatus | None:
    """Return what the status says of it. Numbers that change with every request are metrics, and not here."""
    if scaling is None:
        return None
    return AutoscalingStatus(
        desired=None if scaling.decision is None else scaling.decision.desired,
        cold_start_seconds=None if scaling.cold_start is None else round(scaling.cold_start),
    )


def shown(scaling: Scaling | None, load: Load) -> Scaled | None:
    """Return the numbers for metrics."""
    if scaling is None or scaling.decision is None:
        return None
    one = scaling.decision
    return Scaled(one.desired, one.wanted, load.requests, scaling.target.each, one.hold, acts=scaling.held_by is None)


def scaling_events(scaling: Scaling | None, before: AutoscalingStatus | None) -> tuple[Event, ...]:
    """Return the Event of a number that changed; `before`: what the status says."""
    if scaling is None or scaling.decision is None or before is None or before.desired is None:
        return ()
    old, new = before.desired, scaling.decision.desired
    if old == new:
        return ()
    wanted = scaling.decision.wanted
    why = "the bounds have changed" if wanted is None else f"the load asks for {wanted}, {scaling.target.words}"
    if scaling.held_by is not None:
        return (Event("Normal", "ScalingAdvised", f"{old} to {new} workers would follow the load: {why}"),)
    return (Event("Normal", "ScaledUp" if new > old else "ScaledDown", f"{old} to {new} workers: {why}"),)


def _room(slices: Iterable[ZoneSlices]) -> int | None:
    entries = tuple(slices)
    if not entries or not all(entry.known for entry in entries):
        return None
    room = sum(entry.room + entry.kept for entry in entries)
    return None if room >= UNBOUNDED else room


def _cold_start(observed: ObservedPool) -> float | None:
    """The one in the status stays until the workers show another: it is written there, and must not change with every pod."""
    stored = observed.status.autoscaling
    known = stored.cold_start_seconds if stored is not None else None
    shown = _shown(observed.pods)
    if shown is None or (known is not None and abs(shown - known) <= max(1.0, _NEWS * known)):
        return None if known is None else float(known)
    return float(round(shown))


def _shown(pods: Iterable[ObservedPod]) -> float | None:
    found = [pod.started_in for pod in pods if pod.started_in is not None and not pod.terminating]
    return median(found) if found else None
