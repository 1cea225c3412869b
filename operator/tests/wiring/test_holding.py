"""A scale-down with a real disruption controller: the budget is raised, seen, and lowered again around the write to the Deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import pool_object
from servers.control_plane import ApiServer
from wiring.conftest import controlled_server
from wiring.kubelet import Kubelet
from wiring.operator_process import Cluster, Operators, eventually

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own, with controllers that make pods of Deployments."""
    with controlled_server(tmp_path_factory) as server:
        yield server


def budget(cluster: Cluster) -> dict[str, Any]:
    return cluster.children()["PodDisruptionBudget/chat-a"]


async def test_a_scale_down_holds_the_budget_until_the_removed_workers_are_counted_out(
    cluster: Cluster, replicas: Operators
) -> None:
    kubelet, operator = Kubelet(cluster), await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=2, zones={"names": ["a"], "minAvailable": 1}))
    await eventually(lambda: len(kubelet.pods()) == 2, "the Deployment has its pods")
    for number, pod in enumerate(kubelet.pods()):
        kubelet.bind(pod)
        kubelet.ready(pod, f"127.77.2.{number}")
    await eventually(lambda: (budget(cluster).get("status") or {}).get("currentHealthy") == 2, operator.words())
    await eventually(lambda: cluster.pool()["status"].get("readyReplicas") == 2, operator.words())
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
