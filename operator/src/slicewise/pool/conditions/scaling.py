"""AutoscalingActive: whether the number of workers follows the load, and what limits it. Pure."""

from __future__ import annotations

from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.autoscaling.decision import Decision, Why
from slicewise.autoscaling.window import NOT_READ
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.cost import budget_cap
from slicewise.pool.facts import Facts
from slicewise.pool.scaling import Scaling


def find_scaling_active(facts: Facts) -> ConditionResult | None:
    """Return the condition; None where the spec has no autoscaling. Messages hold no number that changes with every request."""
    scaling = facts.demand.scaling if facts.demand is not None else None
    if scaling is None:
        return None
    decision = scaling.decision
    if decision is None:
        field = "spec.suspend is true" if scaling.held_by is Reason.SUSPENDED else "spec.replicas is 0"
        return ConditionResult("False", scaling.held_by or Reason.SUSPENDED, f"{field}, so the pool has no workers")
    if scaling.held_by is not None:
        return _held(scaling, decision, facts)
    return _kept(facts) or _active(scaling, decision, facts)


def _held(scaling: Scaling, decision: Decision, facts: Facts) -> ConditionResult:
    would = f"it would ask for {decision.desired} {_workers(decision.desired)}"
    if scaling.held_by is Reason.ADVICE_ONLY:
        return ConditionResult("False", Reason.ADVICE_ONLY, f"spec.autoscaling.mode is Advise: {would}")
    name = facts.pool.metadata.name
    return ConditionResult(
        "False",
        Reason.SCALED_BY_ANOTHER,
        f"spec.replicas was written by {scaling.owner} through the scale subresource, and holds; {would}. "
        "Remove that autoscaler and then the field "
        f"(kubectl patch ipool {name} --type=json -p "
        """'[{"op":"remove","path":"/spec/replicas"}]'), or remove spec.autoscaling""",
    )


def _kept(facts: Facts) -> ConditionResult | None:
    """What the status says, until a new leader has counted requests for the first time."""
    if facts.observed.load.trouble != NOT_READ:
        return None
    stored = facts.observed.status.conditions or ()
    for item in stored:
        if item.type == ConditionType.AUTOSCALING_ACTIVE.value and item.reason in _LIVE:
            return ConditionResult(item.status, Reason(item.reason), item.message)
    return None


_LIVE = {
    Reason.FOLLOWS_LOAD,
    Reason.AT_MAX_REPLICAS,
    Reason.LIMITED_BY_SLICES,
    Reason.LIMITED_BY_BUDGET,
    Reason.LOAD_UNKNOWN,
}


def _active(scaling: Scaling, decision: Decision, facts: Facts) -> ConditionResult:
    number = f"{decision.desired} {_workers(decision.desired)}"
    if decision.why is Why.UNKNOWN:
        return ConditionResult("False", Reason.LOAD_UNKNOWN, f"no worker is removed: {facts.observed.load.trouble}")
    if decision.why is Why.MOST and _is_capped(facts):
        text = f"the load asks for more than {number}, which is what the rest of the month's budget pays for"
        return ConditionResult("True", Reason.LIMITED_BY_BUDGET, text)
    if decision.why is Why.MOST:
        text = f"the load asks for more than {number}, which is spec.autoscaling.maxReplicas"
        return ConditionResult("True", Reason.AT_MAX_REPLICAS, text)
    if decision.why is Why.ROOM:
        return ConditionResult(
            "True", Reason.LIMITED_BY_SLICES, f"the load asks for more than {number}, and no slice is free"
        )
    if scaling.asleep:
        return ConditionResult(
            "True", Reason.FOLLOWS_LOAD, "no worker; the gateway holds the next request, which starts one"
        )
    return ConditionResult("True", Reason.FOLLOWS_LOAD, f"{number}, {scaling.target.words}")


def _is_capped(facts: Facts) -> bool:
    """Whether the budget asks for fewer workers than `maxReplicas`."""
    scaling, cap = facts.pool.spec.autoscaling, budget_cap(facts.pool, facts.observed)
    return scaling is not None and cap is not None and cap < scaling.max_replicas


def _workers(count: int) -> str:
    return "worker" if count == 1 else "workers"
