"""The program in this process or as its users run it, and objects put on an API server as they stand."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from servers.control_plane import REPOSITORY, ApiServer
from servers.definitions import established

from slicewise_cli.__main__ import main

PROGRAMS = Path(sys.executable).parent
Cli = Callable[..., subprocess.CompletedProcess[str]]


def environment(server: ApiServer, home: Path) -> dict[str, str]:
    """Return an environment in which both kubectl and the plugin find each other and the server."""
    path = f"{PROGRAMS}:{server.bin}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "KUBECONFIG": str(server.kubeconfig), "LANG": "C.UTF-8"}


def run_here(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in this process, which spares a second of imports; return what it printed and its exit code.

    `KUBECONFIG` is read when the client is imported, so the words must have `--kubeconfig`.
    """
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["kubectl-slicewise", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
        gc.collect()  # what a command left open is this test's fault, not a later one's


def put(server: ApiServer, obj: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Create an object and its status in a namespace (nodes: in none); return it as stored."""
    plural = {
        "InferencePool": "apis/slicewise.dev/v1alpha1/{}inferencepools",
        "Pod": "api/v1/{}pods",
        "Node": "api/v1/nodes",
    }
    paths = {**plural, "ControllerRevision": "apis/apps/v1/{}controllerrevisions"}
    path = "/" + paths[obj["kind"]].format(f"namespaces/{namespace}/")
    kept = {key: value for key, value in obj["metadata"].items() if key in {"name", "labels", "annotations"}}
    body = {**obj, "metadata": kept}
    code, stored = server.request("POST", path, {key: value for key, value in body.items() if key != "status"})
    assert code == 201, stored
    if "status" in obj:
        code, stored = patch_status(server, f"{path}/{kept['name']}", _as_seen(obj["status"], stored))
        assert code == 200, stored
    return dict(stored)


def _as_seen(status: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The status about the generation that the object got, where it is about one."""
    seen = {"observedGeneration": stored["metadata"].get("generation")} if "observedGeneration" in status else {}
    return {**status, **seen}


def patch_status(server: ApiServer, path: str, status: Mapping[str, Any]) -> tuple[int, Any]:
    """Write fields of a status."""
    return server.request("PATCH", f"{path}/status", {"status": status}, content_type="application/merge-patch+json")


def install(server: ApiServer) -> None:
    """Install the CRD."""
    server.kubectl("apply", "-f", str(REPOSITORY / "crds"))
    established(server, "inferencepools.slicewise.dev")
