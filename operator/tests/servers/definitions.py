"""Custom resource definitions on a real API server."""

from __future__ import annotations

from servers.control_plane import ApiServer
from servers.processes import wait_until


def established(server: ApiServer, name: str) -> None:
    """Wait until the API server serves the kinds of a definition.

    `kubectl wait` does not do: right after the creation `status.conditions` is null, and that is an error to it.
    """
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"

    def conditions() -> list[dict[str, str]]:
        return server.request("GET", path)[1].get("status", {}).get("conditions") or []

    def done() -> bool:
        return any((each["type"], each["status"]) == ("Established", "True") for each in conditions())

    wait_until(done, 120, lambda: f"{name} is not established: {conditions()}")
