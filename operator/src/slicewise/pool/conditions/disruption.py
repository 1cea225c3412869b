"""What conditions say of disruption: drains that wait, and devices that are called unhealthy. Called by `summary.py`; pure."""

from __future__ import annotations

from slicewise.api.v1alpha1 import Reason
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.workers import zone_names
from slicewise.pool.facts import Facts


def find_drain(facts: Facts) -> ConditionResult:
    """DrainBlocked."""
    if not facts.blocked_drains:
        return ConditionResult("False", Reason.NOT_BLOCKED, "no drain waits for this pool")
    first = facts.blocked_drains[0]
    zones = facts.demand.zones if facts.demand else ()
    if first.zone not in zones:
        message = (
            f"node {first.node} is cordoned and its worker cannot go yet: zone {first.zone or repr('')} is leaving the pool, and "
            f"its {first.serving} ready workers stay until others serve in zone {zone_names(list(zones))}"
        )
        return ConditionResult("True", Reason.NO_FREE_SLICE, message)
    if first.refused:
        message = (
            f"node {first.node} is cordoned and its worker cannot go: zone {first.zone or repr('')} has {first.serving} ready, "
            f"its floor is {first.floor}, and no node there takes the replacement although a slice is free; "
            "CapacityAvailable has the scheduler's words"
        )
        return ConditionResult("True", Reason.NO_FREE_SLICE, message)
    others = f" (and {len(facts.blocked_drains) - 1} more)" if len(facts.blocked_drains) > 1 else ""
    message = (
        f"node {first.node}{others} is cordoned and its worker cannot go: zone {first.zone or repr('')} has "
        f"{first.serving} ready, its floor is {first.floor}, and no slice is free there. "
        "Free or add a slice in that zone, or lower spec.zones.minAvailable"
    )
    return ConditionResult("True", Reason.NO_FREE_SLICE, message)


def find_unhealthy_devices(facts: Facts) -> ConditionResult | None:
    """Degraded for workers on devices that the kubelet calls unhealthy: being replaced, or still serving and waiting."""
    going = {item.uid for item in facts.deletions}
    dead = [pod for pod in facts.workers if pod.device_unhealthy]
    waiting = [pod for pod in dead if pod.suspect and pod.uid not in going]
    if not dead:
        return None
    if not waiting:
        names = ", ".join(pod.name for pod in dead)
        return ConditionResult(
            "True", Reason.DEVICE_UNHEALTHY, f"the device under {names} is unhealthy; the worker is being replaced"
        )
    full = facts.demand.no_place if facts.demand is not None else frozenset()
    floor = ", lower spec.zones.minAvailable" if any(pod.node not in full for pod in waiting) else ""
    names = ", ".join(pod.name for pod in waiting)
    where = ", ".join(sorted({pod.zone or repr("") for pod in waiting}))
    message = (
        f"the device under {names} is reported unhealthy, and the worker still answers: it goes once another serves, "
        f"never below the floor. Without a free slice in zone {where} it stays, and it counts against the slices that its node "
        f"still offers. Check whether the report is right; if so, add a slice there{floor}, or delete the pod"
    )
    return ConditionResult("True", Reason.DEVICE_UNHEALTHY, message)
