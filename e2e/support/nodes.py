"""What happens to nodes and devices, played on the kind cluster; and how each is put back."""

from __future__ import annotations

from e2e.support.api import Api, Object
from e2e.support.polling import eventually
from e2e.support.pool import SLICE
from e2e.support.programs import CLUSTER, HERE, kubectl, run

ZONE = "topology.kubernetes.io/zone"
OURS = "e2e.slicewise.dev/"
"""How labels and taints of stories begin: a run that was killed leaves them behind."""
RACK = f"{OURS}rack"
"""Zones by a label of the stories' own, for `spec.zones.topologyKey`: nodes are moved between racks, never between zones."""
HOME = {f"{CLUSTER}-worker": "a", f"{CLUSTER}-worker2": "b", f"{CLUSTER}-worker3": "c"}
"""Node → its zone when no story has moved it."""
DEVICES_CTL = HERE / "deviceplugin/ctl"


class Nodes:
    """The worker nodes and their devices."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, name: str) -> Object:
        found = self._api.get("nodes", name)
        assert found is not None, f"node {name} is not there"
        return found

    def in_zone(self, zone: str) -> str:
        """Return the node whose home is the zone."""
        return next(node for node, home in HOME.items() if home == zone)

    def put_into_rack(self, name: str, rack: str) -> None:
        kubectl("label", "node", name, f"{RACK}={rack}", "--overwrite")

    def cordon(self, name: str) -> None:
        kubectl("cordon", name)

    def uncordon(self, name: str) -> None:
        kubectl("uncordon", name)

    def restart(self, name: str) -> None:
        """Cut the power of a node and give it back; returns when it says Ready."""
        run(HERE / "cluster/restart-node.sh", name, within=150)

    def devices(self, *arguments: str) -> str:
        return run(DEVICES_CTL, *arguments)

    def slices(self, name: str) -> int:
        """How many slices the node offers."""
        return int(self.get(name)["status"]["allocatable"].get(SLICE, "0"))

    def put_back(self) -> None:
        """Bring every node to what it was: labels, taints, cordon, devices."""
        for node, zone in HOME.items():
            found = self.get(node)
            assert found["metadata"]["labels"].get(ZONE) == zone, f"{node} is not in zone {zone}"
            for label in [name for name in found["metadata"]["labels"] if name.startswith(OURS)]:
                kubectl("label", "node", node, f"{label}-")
            for taint in [taint["key"] for taint in found["spec"].get("taints") or () if taint["key"].startswith(OURS)]:
                kubectl("taint", "node", node, f"{taint}-")
            if found["spec"].get("unschedulable"):
                self.uncordon(node)
        self.devices("reset")
        eventually("all slices are offered", self._all_offered, within=60)

    def _all_offered(self) -> None:
        for node in HOME:
            assert self.slices(node) == 2, f"{node} offers {self.slices(node)} slices"
