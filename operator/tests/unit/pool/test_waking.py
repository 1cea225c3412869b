"""How far a pool is whose workers do not serve yet, as its gateway learns it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders import MIG, make_pool
from simulation import Simulation

from slicewise.api.labels import ANNOTATION_WAKING
from slicewise.pool.observed import FetchProgress, ObservedPod
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.waking import describe_waking

WAITS = ObservedPod("w", "uid-w", "r", "a", created_at=1000.0, resource=MIG)
STARTS = replace(WAITS, node="node-1")
SERVES = replace(STARTS, phase="Running", ready=True)


def loading(done: int, total: int | None, created_at: float = 1000.0) -> ObservedPod:
    return replace(STARTS, fetch=FetchProgress(done, total), created_at=created_at)


@pytest.mark.parametrize(
    ("pods", "cold_start", "said"),
    [
        ([], 20.0, {"state": "NoWorker"}),
        ([WAITS], 20.0, {"state": "WaitingForSlice"}),
        ([STARTS], None, {"state": "Starting"}),
        ([STARTS], 20.4, {"state": "Starting", "readyAt": 1020}),
        ([loading(47, 100)], None, {"state": "LoadingWeights", "percent": 40}),
        ([loading(47, None)], 5.0, {"state": "LoadingWeights", "readyAt": 1005}),
        ([loading(47, 100, 1007.0), loading(9, 10)], 5.0, {"state": "LoadingWeights", "percent": 90, "readyAt": 1005}),
        ([loading(47, 100), STARTS], None, {"state": "Starting"}),
        (
            [replace(STARTS, waiting_reason="ImagePullBackOff", waiting_message="secret.example/x")],
            20.0,
            {"state": "Failing"},
        ),
        (
            [replace(STARTS, waiting_reason="CrashLoopBackOff"), loading(1, 2)],
            None,
            {"state": "LoadingWeights", "percent": 50},
        ),
        ([replace(SERVES, terminating=True)], None, {"state": "NoWorker"}),
    ],
)
def test_the_worker_that_is_farthest_counts_and_a_time_is_there_where_one_was_measured(
    pods: list[ObservedPod], cold_start: float | None, said: dict[str, Any]
) -> None:
    assert json.loads(describe_waking(pods, cold_start)) == said


def test_nothing_is_said_while_one_serves() -> None:
    assert describe_waking([WAITS, SERVES], 20.0) == ""


def _annotation(plan: PoolPlan) -> str | None:
    (config,) = [
        one for one in plan.children or () if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "chat-gateway"
    ]
    value: str | None = config["metadata"].get("annotations", {}).get(ANNOTATION_WAKING)
    return value


def test_it_is_beside_the_gateways_configuration_until_a_worker_serves() -> None:
    run = Simulation(make_pool(autoscaling={"maxReplicas": 5}))
    assert json.loads(str(_annotation(run.operate()))) == {"state": "NoWorker"}
    assert _annotation(run.settle()) is None
    plain = Simulation(make_pool(replicas=1))
    assert _annotation(plain.operate()) is None, "its number is not by load, so nothing wakes it"
