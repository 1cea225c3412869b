"""The report of a pass: the whole `.status`, and the Events that tell what changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import worker_selector
from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.api.v1alpha1.status import FallbackStatus, PoolStatus, RevisionsStatus, SliceStatus, ZoneStatus
from slicewise.manifests.service import endpoint_url
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.summary import WAITS_FOR_A_PERSON, ConditionResults, find_all, write_conditions
from slicewise.pool.cost import cost_status
from slicewise.pool.demand import Demand, pool_needs
from slicewise.pool.facts import Facts
from slicewise.pool.fallback import write_fallback
from slicewise.pool.outcome import Event
from slicewise.pool.revision import find_revision
from slicewise.pool.rollout.state import write_state
from slicewise.pool.scaling import scaling_events, scaling_status
from slicewise.pool.sizes import engine_status

_TOLD = (
    ConditionType.ACCEPTED,
    ConditionType.CAPACITY_AVAILABLE,
    ConditionType.WEIGHTS_CACHED,
    ConditionType.WORKERS_READY,
    ConditionType.GATEWAY_PROGRAMMED,
    ConditionType.JOBS_AVAILABLE,
    ConditionType.AUTOSCALING_ACTIVE,
    ConditionType.BUDGET_AT_RISK,
    ConditionType.DRAIN_BLOCKED,
    ConditionType.DEGRADED,
)
"""Conditions of which a change of reason is an Event. The rollout's own Events come from its machine."""

_BAD_WHEN_TRUE = {ConditionType.BUDGET_AT_RISK, ConditionType.DRAIN_BLOCKED, ConditionType.DEGRADED}
_QUIET = {
    Reason.PENDING,
    Reason.STARTING,
    Reason.NOT_PROGRAMMED,
    Reason.UNKNOWN,
    Reason.SLICES_FREE,
    Reason.FOLLOWS_LOAD,
    Reason.LOAD_UNKNOWN,
    Reason.WITHIN_BUDGET,
    Reason.PRICE_UNKNOWN,
    Reason.NOT_BLOCKED,
    Reason.NOT_DEGRADED,
}
"""Reasons that are no news by themselves when a pool is new."""


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a pass."""

    status: PoolStatus
    events: tuple[Event, ...]


def build_report(facts: Facts, now: float) -> Report:
    """Return the status after this pass, and the Events of what changed since the stored one."""
    found = find_all(facts)
    before = facts.observed.status
    conditions = write_conditions(found, before.conditions or (), facts.pool.metadata.generation, now)
    demand, serves, asked = facts.demand, _serving_name(facts), facts.pool.model_name
    status = PoolStatus(
        observed_generation=facts.pool.metadata.generation,
        model=serves,
        wanted_model=None if serves == asked else asked,
        endpoint=endpoint_url(facts.pool),
        selector=",".join(f"{key}={value}" for key, value in worker_selector(facts.pool.metadata.name).items()),
        replicas=len(facts.workers),
        ready_replicas=facts.ready_count,
        desired=facts.desired if demand is not None or before.desired is None else before.desired,
        conditions=tuple(conditions),
        revisions=_revisions(facts),
        rollout=write_state(facts.state, facts.weight),
        fallback=_fallback(facts),
        zones=before.zones if demand is None else _zones(demand, facts.ready),
        slice=before.slice if demand is None else _slice(demand),
        engine=engine_status(facts.pool.spec.engine, facts.workers),
        needs=pool_needs(facts.pool, facts.observed),
        autoscaling=before.autoscaling if demand is None else scaling_status(demand.scaling),
        cost=cost_status(facts.pool, facts.observed),
    )
    scaled = () if demand is None else scaling_events(demand.scaling, before.autoscaling)
    return Report(status, (*scaled, *_events(found, before)))


def _serving_name(facts: Facts) -> str:
    """What clients send as `model` now."""
    stable = find_revision(facts.observed.revisions, facts.state.stable)
    if stable is None:
        return facts.pool.model_name
    inputs = stable.data.get("inputs") or {}
    return str((inputs.get("model") or {}).get("name") or facts.pool.metadata.name)


def _fallback(facts: Facts) -> FallbackStatus | None:
    if facts.fallback is not None:
        return write_fallback(facts.fallback.state)
    return None if facts.pool.spec.fallback is None else facts.observed.status.fallback


def _revisions(facts: Facts) -> RevisionsStatus | None:
    wanted = facts.demand.wanted if facts.demand is not None else None
    found = RevisionsStatus(
        stable=facts.state.stable,
        canary=facts.state.canary,
        wanted=None if wanted == facts.state.stable else wanted,
    )
    return None if found == RevisionsStatus() else found


def _zones(demand: Demand, ready: Mapping[str, int]) -> tuple[ZoneStatus, ...] | None:
    zones = [
        ZoneStatus(name=item.zone, desired=item.desired, ready=ready[item.zone], floor=item.floor)
        for item in demand.targets
    ]
    return tuple(zones) or None


def _slice(demand: Demand) -> SliceStatus:
    profile = demand.profile
    return SliceStatus(
        resource=profile.resource or "cpu",
        memory=None if profile.memory is None else profile.memory.to_quantity(),
        needed=None if profile.needed is None else profile.needed.to_quantity(),
    )


def _events(found: ConditionResults, before: PoolStatus) -> tuple[Event, ...]:
    old = {item.type: item.reason for item in before.conditions or ()}
    events = []
    for kind in _TOLD:
        result = found.get(kind)
        if result is None or old.get(kind.value) == result.reason.value:
            continue
        if result.reason in _QUIET and kind.value not in old:
            continue
        events.append(Event(_event_type(kind, result), result.reason.value, result.message))
    return tuple(events)


def _event_type(kind: ConditionType, result: ConditionResult) -> Any:
    bad = result.status == "True" if kind in _BAD_WHEN_TRUE else result.status == "False"
    harmless = result.reason in {Reason.DOWNLOADING, Reason.STARTING, Reason.PENDING, Reason.NOT_PROGRAMMED}
    harmless |= result.reason in {Reason.ADVICE_ONLY, Reason.SUSPENDED, Reason.SCALED_TO_ZERO}
    return "Warning" if bad and not harmless else "Normal"


def invalid_report(messages: Sequence[str], before: PoolStatus, generation: int, now: float) -> Report:
    """Return the report on a spec that breaks a rule: what is stored stays, and the conditions say what to change."""
    text = "; ".join(messages)[:1000]
    kept = f"{text}. The last accepted spec goes on serving" if before.revisions else text
    found: ConditionResults = {
        ConditionType.READY: ConditionResult("False", Reason.NOT_ACCEPTED, kept),
        ConditionType.RECONCILING: ConditionResult("False", Reason.DONE, WAITS_FOR_A_PERSON),
        ConditionType.STALLED: ConditionResult("True", Reason.INVALID, kept),
        ConditionType.ACCEPTED: ConditionResult("False", Reason.INVALID, kept),
    }
    conditions = write_conditions(found, before.conditions or (), generation, now)
    changed = {item.type for item in conditions}
    rest = [item for item in before.conditions or () if item.type not in changed]
    order = [kind.value for kind in ConditionType]
    merged = sorted([*conditions, *rest], key=lambda item: order.index(item.type) if item.type in order else len(order))
    status = before.model_copy(update={"observed_generation": generation, "conditions": tuple(merged)})
    return Report(status, _events({ConditionType.ACCEPTED: found[ConditionType.ACCEPTED]}, before))
