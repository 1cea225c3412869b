"""The network between pods, played on the kind cluster: what cannot be reached, and how it is put back."""

from __future__ import annotations

from e2e.support.api import Object
from e2e.support.programs import run


class Cut:
    """Other pods' connections to one port of a pod are refused, until `heal`. The kubelet's probes are not."""

    def __init__(self, pod: Object, port: int) -> None:
        self._node = pod["spec"]["nodeName"]
        where = ("-p", "tcp", "-d", pod["status"]["podIP"], "--dport", str(port))
        self._rule = ("FORWARD", *where, "-j", "REJECT", "--reject-with", "tcp-reset")
        self._iptables("--insert")
        self._is_there = True

    def heal(self) -> None:
        """Let them through again; a second time without effect."""
        if self._is_there:
            self._iptables("--delete")
            self._is_there = False

    def _iptables(self, action: str) -> None:
        run("docker", "exec", self._node, "iptables", action, *self._rule)
