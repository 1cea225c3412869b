"""A scale-down with a real disruption controller: the budget is raised, seen, and lowered again around the write to the Deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from builders import pool_object
from servers.control_plane import ApiServer
from servers.processes import free_address
from wiring.conftest import controlled_server
from wiring.kubelet import Kubelet
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own, with controllers that make pods of Deployments."""
    with controlled_server(tmp_path_factory) as server:
        yield server


def budget(cluster: Cluster) -> dict[str, Any]:
    return cluster.children()["PodDisruptionBudget/chat-a"]


def healthy(cluster: Cluster) -> int | None:
    return (budget(cluster).get("status") or {}).get("currentHealthy")


async def two_workers(cluster: Cluster, replicas: Operators) -> tuple[Kubelet, OperatorProcess]:
    kubelet, operator = Kubelet(cluster), await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=2, zones={"names": ["a"], "minAvailable": 1}))
    await eventually(lambda: len(kubelet.pods()) == 2, "the Deployment has its pods")
    for pod in kubelet.pods():
        kubelet.bind(pod)
        kubelet.ready(pod, free_address())
    await eventually(lambda: cluster.pool()["status"].get("readyReplicas") == 2, operator.words())
    return kubelet, operator


async def past_budgets(cluster: Cluster, since: str) -> list[dict[str, Any]]:
    """Return each version of the budget since that one. A server that is slow ends a watch before it has told all of them."""
    path, last = f"/apis/policy/v1/namespaces/{cluster.namespace}/poddisruptionbudgets", budget(cluster)["metadata"]

    def told() -> list[dict[str, Any]]:
        text = cluster.server.kubectl("get", "--raw", f"{path}?watch=1&resourceVersion={since}&timeoutSeconds=2").stdout
        items = [item["object"] for item in map(json.loads, text.splitlines())]
        found = [item for item in items if item["kind"] != "Status" and item["metadata"]["name"] == last["name"]]
        return found if last["resourceVersion"] in [item["metadata"]["resourceVersion"] for item in found] else []

    return await eventually(told, "all versions of the budget")


async def test_a_scale_down_holds_the_budget_until_the_removed_workers_are_counted_out(
    cluster: Cluster, replicas: Operators
) -> None:
    kubelet, operator = await two_workers(cluster, replicas)
    await eventually(lambda: healthy(cluster) == 2, operator.words())
    mark = cluster.server.audit_mark()

    cluster.edit("chat", {"replicas": 1})
    await eventually(lambda: len(kubelet.pods()) == 1, operator.words())
    await eventually(lambda: budget(cluster)["spec"]["minAvailable"] == 1, operator.words())

    assert "slicewise.dev/held-since" not in budget(cluster)["metadata"].get("annotations", {})
    writes = [write for write in cluster.writes(mark) if "budgets/chat-a" in write or "deployments/chat-a" in write]
    lowered = next(number for number, write in enumerate(writes) if "deployments/chat-a" in write)
    assert any("budgets/chat-a" in write for write in writes[:lowered]), writes
    assert "budgets/chat-a" in writes[-1], writes
    assert sum("deployments/chat-a" in write for write in writes) == 1, writes
    await eventually(operator.resting, "no pass waits")
    mark = cluster.server.audit_mark()
    assert cluster.writes(mark) == []


async def test_a_pod_with_a_workers_labels_raises_the_hold_and_is_no_worker(
    cluster: Cluster, replicas: Operators
) -> None:
    kubelet, operator = await two_workers(cluster, replicas)
    model = kubelet.pods()[0]
    labels = {key: value for key, value in model["metadata"]["labels"].items() if key != "pod-template-hash"}
    copy = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "copy", "labels": labels},
        "spec": {"containers": [{"name": "worker", "image": "copy"}]},
    }
    code, stranger = cluster.server.request("POST", f"/api/v1/namespaces/{cluster.namespace}/pods", copy)
    assert code == 201, stranger
    kubelet.bind(stranger)
    kubelet.ready(stranger, free_address())
    await eventually(lambda: healthy(cluster) == 3, operator.words())
    before = budget(cluster)["metadata"]["resourceVersion"]

    cluster.edit("chat", {"replicas": 1})
    await eventually(lambda: len(kubelet.pods()) == 2, operator.words())
    await eventually(lambda: budget(cluster)["spec"]["minAvailable"] == 1, operator.words())

    assert {pod["metadata"]["name"] for pod in kubelet.pods()} > {"copy"}
    past = await past_budgets(cluster, before)
    assert max(item["spec"]["minAvailable"] for item in past) == 3, "the floor, the worker that goes, and the copy"
    await eventually(lambda: cluster.pool()["status"]["readyReplicas"] == 1, operator.words())
