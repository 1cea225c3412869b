"""Fixtures of the command line's tests: a real API server with the CRD, and the program in this process or through kubectl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Cli, environment, install, run_here
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
    return api_server.create_namespace()


@pytest.fixture
def cli(api_server: ApiServer, namespace: str) -> Cli:
    """Run `kubectl-slicewise …` in the namespace, in this process; returns what it printed and its exit code."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        where = [] if "--kubeconfig" in words else ["--kubeconfig", str(api_server.kubeconfig)]
        return _checked(run_here(*words, "-n", namespace, *where), code)

    return run


@pytest.fixture
def plugin(api_server: ApiServer, namespace: str, tmp_path: Path) -> Cli:
    """Run `kubectl slicewise …` in the namespace, through kubectl, with `KUBECONFIG`."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["kubectl", "slicewise", *words, "-n", namespace],
            env=environment(api_server, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return _checked(done, code)

    return run


def _checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
