"""The report of a pass: the whole `.status`, and the Events that tell what changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import worker_selector
from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.manifests.service import endpoint_url
from slicewise.pool.conditions import WAITS_FOR_A_PERSON, Findings, find_all, write_conditions
from slicewise.pool.facts import Facts
from slicewise.pool.finding import Finding
from slicewise.pool.outcome import Event
from slicewise.pool.revision import find_revision
from slicewise.pool.rollout.state import write_state

_TOLD = (
    ConditionType.ACCEPTED,
    ConditionType.CAPACITY_AVAILABLE,
    ConditionType.WEIGHTS_CACHED,
    ConditionType.WORKERS_READY,
    ConditionType.GATEWAY_PROGRAMMED,
    ConditionType.DRAIN_BLOCKED,
    ConditionType.DEGRADED,
)
"""Conditions of which a change of reason is an Event. The rollout's own Events come from its machine."""

_BAD_WHEN_TRUE = {ConditionType.DRAIN_BLOCKED, ConditionType.DEGRADED}
_QUIET = {
    Reason.PENDING,
    Reason.STARTING,
    Reason.NOT_PROGRAMMED,
    Reason.UNKNOWN,
    Reason.SLICES_FREE,
    Reason.NOT_BLOCKED,
    Reason.NOT_DEGRADED,
}
"""Reasons that are no news by themselves when a pool is new."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a pass."""

    status: Mapping[str, Any]
    events: tuple[Event, ...]


def build_report(facts: Facts, now: float) -> Report:
    """Return the status after this pass, and the Events of what changed since the stored one."""
    found = find_all(facts)
    before = facts.observed.status
    conditions = write_conditions(found, before.get("conditions") or [], facts.pool.metadata.generation, now)
    status: dict[str, Any] = {
        "observedGeneration": facts.pool.metadata.generation,
        **_models(facts),
        "endpoint": endpoint_url(facts.pool),
        "selector": ",".join(f"{key}={value}" for key, value in worker_selector(facts.pool.metadata.name).items()),
        "replicas": len(facts.workers),
        "readyReplicas": facts.ready_count,
        "desired": facts.desired,
        "conditions": conditions,
        "revisions": _revisions(facts),
        "rollout": write_state(facts.state, facts.share),
        "zones": _zones(facts),
        "slice": _slice(facts),
    }
    if facts.demand is None:
        kept = {key: before[key] for key in ("desired", "zones", "slice") if key in before}
        status.update(kept)
    return Report({key: value for key, value in status.items() if value not in ({}, [])}, _events(found, before))


def _models(facts: Facts) -> dict[str, str]:
    """What clients send as `model` now, and what the spec asks for where that is another name."""
    wanted = facts.pool.model_name
    stable = find_revision(facts.observed.revisions, facts.state.stable)
    if stable is None:
        return {"model": wanted}
    inputs = stable.data.get("inputs") or {}
    serves = str((inputs.get("model") or {}).get("name") or facts.pool.metadata.name)
    return {"model": serves} if serves == wanted else {"model": serves, "wantedModel": wanted}


def _revisions(facts: Facts) -> dict[str, str]:
    wanted = facts.demand.wanted if facts.demand is not None else None
    names = {
        "stable": facts.state.stable,
        "canary": facts.state.canary,
        "wanted": None if wanted == facts.state.stable else wanted,
    }
    return {key: value for key, value in names.items() if value is not None}


def _zones(facts: Facts) -> list[dict[str, Any]]:
    targets = facts.demand.targets if facts.demand else ()
    return [
        {"name": item.zone, "desired": item.desired, "ready": facts.ready[item.zone], "floor": item.floor}
        for item in targets
    ]


def _slice(facts: Facts) -> dict[str, str]:
    if facts.demand is None:
        return {}
    profile = facts.demand.profile
    result = {"resource": profile.resource or "cpu"}
    if profile.memory is not None:
        result["memory"] = profile.memory.to_quantity()
    if profile.needed is not None:
        result["needed"] = profile.needed.to_quantity()
    return result


def _events(found: Findings, before: Mapping[str, Any]) -> tuple[Event, ...]:
    old = {str(item.get("type")): item for item in before.get("conditions") or []}
    events = []
    for kind in _TOLD:
        finding = found.get(kind)
        if finding is None or old.get(kind.value, {}).get("reason") == finding.reason.value:
            continue
        if finding.reason in _QUIET and kind.value not in old:
            continue
        events.append(Event(_event_type(kind, finding), finding.reason.value, finding.message))
    return tuple(events)


def _event_type(kind: ConditionType, finding: Finding) -> Any:
    bad = finding.status == "True" if kind in _BAD_WHEN_TRUE else finding.status == "False"
    harmless = finding.reason in {Reason.DOWNLOADING, Reason.STARTING, Reason.PENDING, Reason.NOT_PROGRAMMED}
    return "Warning" if bad and not harmless else "Normal"


def invalid_report(messages: Sequence[str], before: Mapping[str, Any], generation: int, now: float) -> Report:
    """Return the report on a spec that breaks a rule: what is stored stays, and the conditions say what to change."""
    text = "; ".join(messages)[:1000]
    kept = f"{text}. The last accepted spec goes on serving" if before.get("revisions") else text
    found: Findings = {
        ConditionType.READY: Finding("False", Reason.NOT_ACCEPTED, kept),
        ConditionType.RECONCILING: Finding("False", Reason.DONE, WAITS_FOR_A_PERSON),
        ConditionType.STALLED: Finding("True", Reason.INVALID, kept),
        ConditionType.ACCEPTED: Finding("False", Reason.INVALID, kept),
    }
    conditions = write_conditions(found, before.get("conditions") or [], generation, now)
    changed = {str(item["type"]) for item in conditions}
    rest = [dict(item) for item in before.get("conditions") or [] if item.get("type") not in changed]
    order = [kind.value for kind in ConditionType]
    merged = sorted(
        [*conditions, *rest], key=lambda item: order.index(item["type"]) if item["type"] in order else len(order)
    )
    status = {**before, "observedGeneration": generation, "conditions": merged}
    return Report(status, _events({ConditionType.ACCEPTED: found[ConditionType.ACCEPTED]}, before))
