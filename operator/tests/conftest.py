"""Fixtures that several groups of the operator's tests share. `servers/control_plane.py` documents the servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import patient_properties  # noqa: F401
import pytest
from servers.control_plane import REPOSITORY, ApiServer, control_plane, controller_manager
from servers.definitions import established


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with the InferencePool CRD, one for the whole session: use a namespace of your own."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as server:
        server.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        established(server, "inferencepools.slicewise.dev")
        yield server


@pytest.fixture(scope="session")
def with_controllers(api_server: ApiServer) -> Iterator[None]:
    """kube-controller-manager beside `api_server`: Deployments get pods, children of a deleted pool go."""
    with controller_manager(api_server):
        yield


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server of the test's own, without the CRD: for tests that take it away or change the cluster's kinds."""
    with control_plane(tmp_path) as server:
        yield server


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """The name of a new namespace."""
    return api_server.create_namespace()
