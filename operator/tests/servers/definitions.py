"""Custom resource definitions on a real API server."""

from __future__ import annotations

from servers.control_plane import ApiServer
from servers.processes import wait_until


def established(server: ApiServer, name: str) -> None:
    """Wait until the API server serves the kinds of a definition.

    `kubectl wait` does not do: right after the creation `status.conditions` is null, and that is an error to it.
    """

    def condition() -> str:
        words = "-o=jsonpath={.status.conditions}"
        return server.kubectl("get", "crd", name, words, check=False).stdout

    def done() -> bool:
        query = '-o=jsonpath={.status.conditions[?(@.type=="Established")].status}'
        return server.kubectl("get", "crd", name, query, check=False).stdout == "True"

    wait_until(done, 60, lambda: f"{name} is not established: {condition()}")
