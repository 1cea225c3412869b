"""Fixtures of the wiring tests: a namespace, three nodes with slices, and operators as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import MIG
from servers.control_plane import ApiServer
from wiring.operator_process import Cluster, Operators, operators


@pytest.fixture(scope="session")
def nodes(api_server: ApiServer) -> None:
    """One node with two slices in each of the zones a, b, c."""
    for zone in "abc":
        labels = {"topology.kubernetes.io/zone": zone, f"{MIG}.memory": "9728"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"wiring-{zone}", "labels": labels}}
        code, answer = api_server.request("POST", "/api/v1/nodes", node)
        assert code == 201, answer
        status = {
            "allocatable": {MIG: "2", "cpu": "4"},
            "capacity": {MIG: "2", "cpu": "4"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        path = f"/api/v1/nodes/wiring-{zone}/status"
        code, answer = api_server.request(
            "PATCH", path, {"status": status}, content_type="application/merge-patch+json"
        )
        assert code == 200, answer


@pytest.fixture
def cluster(api_server: ApiServer, nodes: None, namespace: str) -> Cluster:
    """A namespace of the test's own."""
    return Cluster(api_server, namespace)


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Operators]:
    """Starts operators for that namespace."""
    with operators(cluster, tmp_path) as started:
        yield started
