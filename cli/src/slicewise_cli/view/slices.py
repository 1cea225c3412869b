"""The map of slices: what each node offers, and which pod holds what. Counted as the operator counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import LABEL_POOL, LABEL_REVISION
from slicewise.api.quantity import parse_quantity
from slicewise.objects.pods import held_slices, read_node


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slice."""

    namespace: str
    pod: str
    pool: str = ""
    """Empty for a pod that is not Slicewise's."""
    revision: str = ""
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class NodeSlices:
    """Slices of one resource on one node."""

    node: str
    zone: str
    resource: str
    memory: str
    """Of one slice, as the node's label says; empty where none does."""
    offered: int
    """By the kubelet: healthy ones only."""
    unhealthy: int
    holders: tuple[Holder, ...]
    """A pod that holds two slices is here twice."""
    note: str = ""
    """Why no new worker comes here; empty where one could."""

    @property
    def free(self) -> int:
        """How many a new worker could have here."""
        return 0 if self.note else max(0, self.offered - len(self.holders))


def read_slices(nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> tuple[NodeSlices, ...]:
    """Return what each node offers and who holds it, by zone and node. `pods`: of all namespaces."""
    by_node: dict[str, list[Mapping[str, Any]]] = {}
    for pod in pods:
        phase = (pod.get("status") or {}).get("phase")
        node = (pod.get("spec") or {}).get("nodeName")
        if node and phase not in {"Succeeded", "Failed"}:
            by_node.setdefault(node, []).append(pod)
    found = [row for node in nodes for row in _read_node(node, by_node.get(node["metadata"]["name"], []))]
    return tuple(sorted(found, key=lambda row: (row.zone, row.node, row.resource)))


def _read_node(node: Mapping[str, Any], pods: list[Mapping[str, Any]]) -> list[NodeSlices]:
    seen = read_node(node)
    capacity = (node.get("status") or {}).get("capacity") or {}
    note = "cordoned" if seen.cordoned else "not ready" if not seen.ready else "tainted" if seen.tainted else ""
    return [
        NodeSlices(
            node=seen.name,
            zone=seen.zone,
            resource=resource,
            memory=seen.slice_memory[resource].to_quantity() if resource in seen.slice_memory else "",
            offered=offered,
            unhealthy=max(0, int(parse_quantity(capacity.get(resource, offered))) - offered),
            holders=tuple(holder for pod in pods for holder in _holders(pod, resource)),
            note=note,
        )
        for resource, offered in seen.allocatable.items()
    ]


def _holders(pod: Mapping[str, Any], resource: str) -> list[Holder]:
    metadata = pod["metadata"]
    marks = metadata.get("labels") or {}
    holder = Holder(
        namespace=metadata.get("namespace", ""),
        pod=metadata["name"],
        pool=marks.get(LABEL_POOL, ""),
        revision=marks.get(LABEL_REVISION, ""),
        terminating="deletionTimestamp" in metadata,
    )
    return [holder] * held_slices(pod.get("spec") or {}).get(resource, 0)
