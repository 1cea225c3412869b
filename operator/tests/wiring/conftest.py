"""Fixtures of the wiring tests: an API server with three nodes with slices, a namespace, operators as processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from builders import MIG
from servers.control_plane import CONTROLLERS, REPOSITORY, ApiServer, control_plane, controller_manager
from servers.definitions import established
from wiring.operator_process import Cluster, Operators, operators


@contextlib.contextmanager
def start_server(directory: Path) -> Iterator[ApiServer]:
    """Run an API server with the CRD."""
    with control_plane(directory) as server:
        server.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        established(server, "inferencepools.slicewise.dev")
        yield server


def make_nodes(server: ApiServer) -> None:
    """Make one node with two slices in each of the zones a, b, c."""
    for zone in "abc":
        labels = {"topology.kubernetes.io/zone": zone, f"{MIG}.memory": "9728"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"wiring-{zone}", "labels": labels}}
        code, answer = server.request("POST", "/api/v1/nodes", node)
        assert code == 201, answer
        status = {
            "allocatable": {MIG: "2", "cpu": "4"},
            "capacity": {MIG: "2", "cpu": "4"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        path = f"/api/v1/nodes/wiring-{zone}/status"
        code, answer = server.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")
        assert code == 200, answer


@contextlib.contextmanager
def controlled_server(paths: pytest.TempPathFactory, controllers: Sequence[str] = CONTROLLERS) -> Iterator[ApiServer]:
    """Run an API server with the nodes and with controllers that make pods of Deployments, for the `api_server` of one module."""
    with start_server(paths.mktemp("control-plane")) as server, controller_manager(server, controllers):
        make_nodes(server)
        yield server


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server for these tests alone, without controllers: what they count is the operator's doing."""
    with start_server(tmp_path_factory.mktemp("control-plane")) as server:
        make_nodes(server)
        yield server


@pytest.fixture
def cluster(api_server: ApiServer, namespace: str) -> Cluster:
    """A namespace of the test's own."""
    return Cluster(api_server, namespace)


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Operators]:
    """Starts operators for that namespace."""
    with operators(cluster, tmp_path) as started:
        yield started
