"""Fixtures of the command line's tests: a real API server with the CRD, and the program run as its users run it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Cli, environment, install
from servers.control_plane import ApiServer, control_plane


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with the InferencePool CRD, one for the whole session: use a namespace of your own."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as server:
        install(server)
        yield server


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """The name of a new namespace."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    api_server.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def cli(api_server: ApiServer, namespace: str, tmp_path: Path) -> Cli:
    """Run `kubectl slicewise …` in the namespace, through kubectl; returns what it printed and its exit code."""

    def run(*words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["kubectl", "slicewise", *words, "-n", namespace],
            env=environment(api_server, tmp_path) | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server of the test's own, without the CRD: for tests that take it away."""
    with control_plane(tmp_path) as server:
        yield server
