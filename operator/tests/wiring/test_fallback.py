"""The CPU fallback by an operator on a real API server: what is written, what is read back, and what a restart leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from builders import pool_object
from wiring.operator_process import Cluster, Operators, eventually
from wiring.test_passes import settled

pytestmark = pytest.mark.apiserver
CPU: dict[str, Any] = {"cores": "1", "memory": "1Gi", "replicas": 2}
MINE = ("Deployment/chat-fallback", "PodDisruptionBudget/chat-fallback", "Service/chat-fallback")


def reason(cluster: Cluster, kind: str = "FallbackActive") -> str:
    return str(cluster.condition(kind).get("reason"))


def replicas_of(cluster: Cluster) -> int:
    return int(cluster.children()["Deployment/chat-fallback"]["spec"]["replicas"])


def make_ready(cluster: Cluster, count: int) -> None:
    """Say what the Deployment's controller says once so many of its pods are ready."""
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/chat-fallback/status"
    status = {"replicas": count, "readyReplicas": count}
    code, answer = cluster.server.request(
        "PATCH", path, {"status": status}, content_type="application/merge-patch+json"
    )
    assert code == 200, answer


async def test_without_a_worker_on_a_slice_it_comes_serves_outlives_the_operator_and_goes_with_its_field(
    cluster: Cluster, replicas: Operators
) -> None:
    first = await replicas.start()
    pool = cluster.create(pool_object(namespace=cluster.namespace, fallback={"cpu": CPU}))
    await eventually(lambda: reason(cluster) == "Pending", first.words())
    assert replicas_of(cluster) == 0
    await eventually(lambda: reason(cluster) == "Starting", first.words())
    await eventually(lambda: replicas_of(cluster) == 2, first.words())
    assert first.metric('slicewise_fallback_switches_total{to="cpu"}') == 1
    children = cluster.children()
    assert [children[name]["metadata"]["ownerReferences"][0]["uid"] for name in MINE] == [pool["metadata"]["uid"]] * 3

    make_ready(cluster, 2)
    await eventually(lambda: reason(cluster) == "Serving", first.words())
    assert (cluster.condition("ServingOnGPU")["status"], reason(cluster, "ServingOnGPU")) == ("False", "OnFallback")
    assert cluster.condition("Ready")["status"] == "False"
    await settled(cluster, first)

    assert first.end() == 0
    mark = cluster.server.audit_mark()
    second = await replicas.start()
    await eventually(second.leads, "the second leads")
    await eventually(lambda: second.metric('slicewise_reconcile_total{result="unchanged"}') >= 1, "one pass")
    assert cluster.writes(mark) == []
    assert second.metric('slicewise_fallback_switches_total{to="cpu"}') == 0

    cluster.edit("chat", {"fallback": None})
    await settled(cluster, second)
    await eventually(lambda: not cluster.children().keys() & set(MINE), second.words())
    assert "fallback" not in cluster.pool()["status"]
    assert cluster.condition("FallbackActive") == {}


async def test_a_pool_that_is_suspended_ends_it_at_once(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, fallback={"cpu": {**CPU, "warm": True}}))
    await settled(cluster, operator)
    assert replicas_of(cluster) == 2
    cluster.edit("chat", {"suspend": True})
    await settled(cluster, operator)
    assert replicas_of(cluster) == 0
    assert reason(cluster) == "NotNeeded"
