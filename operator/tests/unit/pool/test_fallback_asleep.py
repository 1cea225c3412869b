"""The CPU fallback of a pool that sleeps at zero: it must not answer in place of the request that wakes the pool."""

from __future__ import annotations

from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.autoscaling.window import Load
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool

CPU: dict[str, Any] = {"cores": "2", "memory": "4Gi", "warm": True}


def planned(desired: int, **observed: Any) -> PoolPlan:
    """The plan of a pool that may sleep, for `desired` workers by its status, with nothing known of requests."""
    scaling = {"minReplicas": 0, "maxReplicas": 4, "targetRequestsPerWorker": 4, "idleAfter": "5m"}
    active = {"active": True, "switchedAt": "1970-01-01T00:00:00Z"}
    status = {"autoscaling": {"desired": desired}, "desired": desired, "fallback": active}
    pool = make_pool(autoscaling=scaling, fallback={"cpu": CPU})
    return plan_pool(pool, make_observed(status=status, load=Load(trouble="away", troubled=60.0), **observed), 1000.0)


def on_cpu(plan: PoolPlan) -> int:
    found = {(item["kind"], item["metadata"]["name"]): item for item in plan.children or ()}
    return int(found["Deployment", "chat-fallback"]["spec"]["replicas"])


@pytest.mark.parametrize("observed", [{}, {"nodes": ()}], ids=["nodes with slices", "no node at all"])
def test_while_the_pool_sleeps_nothing_runs_on_cpu_and_when_it_wakes_it_does(observed: dict[str, Any]) -> None:
    sleeping, awake = planned(0, **observed), planned(1, **observed)
    assert (on_cpu(sleeping), on_cpu(awake)) == (0, 1)
    said = {item["type"]: item for item in sleeping.status["conditions"]}
    assert (said["FallbackActive"]["status"], said["FallbackActive"]["reason"]) == ("False", "NotNeeded")
    assert sleeping.status["fallback"]["active"] is False
    assert awake.status["fallback"]["active"] is True


def test_waking_changes_nothing_in_the_gateway() -> None:
    assert planned(0).gateway_version == planned(1).gateway_version
