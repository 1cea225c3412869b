"""What happens to a simulated cluster besides the operator's passes: drains, devices that are reported, labels that change."""

from __future__ import annotations

import random
from dataclasses import replace

from builders import MIG

from slicewise.pool.observed import FetchProgress, ObservedNode, ObservedPod


class Mishaps:
    """What tests do to a simulation."""

    nodes: dict[str, ObservedNode]
    pods: dict[str, ObservedPod]
    budgets: dict[str, int]
    dead: set[str]
    random: random.Random
    loads: tuple[int | None, ...]

    def up(self, pod: ObservedPod) -> ObservedPod:
        """The pod as it serves, with some requests."""
        said = self.random.choice(self.loads) if self.loads else None
        return replace(pod, phase="Running", ready=True, fetch=FetchProgress(done=True), requests=said)

    def evict(self, node: str) -> bool:
        """What `kubectl drain` does for one pod of `node`: ask, and be refused by the budget of its zone."""
        for pod in self.pods.values():
            if pod.node != node or pod.terminating:
                continue
            healthy = sum(
                1 for other in self.pods.values() if other.zone == pod.zone and other.ready and not other.terminating
            )
            if pod.ready and healthy - 1 < self.budgets.get(pod.zone, 0):
                continue
            self.pods[pod.name] = replace(pod, terminating=True)
            return True
        return False

    def report_unhealthy(self, pod: ObservedPod, *, dead: bool) -> None:
        """The kubelet calls the device under a pod unhealthy and withdraws it; it is `dead` in fact, or works on."""
        node = self.nodes[str(pod.node)]
        if not pod.device_unhealthy:
            self.nodes[node.name] = replace(node, allocatable={MIG: max(0, node.allocatable.get(MIG, 0) - 1)})
        self.pods[pod.name] = replace(pod, device_unhealthy=True, ready=pod.ready and not dead)
        if dead:
            self.dead.add(pod.name)

    def rename_zones(self, names: dict[str, str]) -> None:
        """Give the zone label of the nodes other values."""
        self.nodes = {key: replace(node, zone=names.get(node.zone, node.zone)) for key, node in self.nodes.items()}
