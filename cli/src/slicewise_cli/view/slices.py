"""The slices of each node and the pods that hold them, counted as the operator counts, and the quotas that limit them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import LABEL_POOL, LABEL_REVISION
from slicewise.api.quantity import parse_quantity
from slicewise.objects.pods import held_slices, read_node
from slicewise_cli.view.lines import BLANK, Line, Lines, Styled, line, table


@dataclass(frozen=True, slots=True)
class Holder:
    """The pod that holds a slice."""

    namespace: str
    pod: str
    pool: str = ""
    """Empty if the pod is no worker of a pool."""
    revision: str = ""
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class NodeSlices:
    """Slices of one resource on one node."""

    node: str
    zone: str
    resource: str
    memory: str
    """Memory of one slice from the node's label; empty without one."""
    offered: int
    """Healthy slices that the kubelet offers."""
    unhealthy: int
    holders: tuple[Holder, ...]
    """A pod that holds two slices appears twice."""
    note: str = ""
    """Why no worker can be placed here; empty if one can."""

    @property
    def free(self) -> int:
        """Number of slices that a new worker could use."""
        return 0 if self.note else max(0, self.offered - len(self.holders))


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit of one ResourceQuota."""

    name: str
    resource: str
    used: str
    hard: str

    @property
    def spent(self) -> bool:
        """Whether the quota is used up."""
        return parse_quantity(self.used) >= parse_quantity(self.hard)


def read_slices(nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> tuple[NodeSlices, ...]:
    """Return the slices of each node and their holders, sorted by zone and node. `pods`: of all namespaces."""
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


def read_quotas(quotas: Iterable[Mapping[str, Any]], resource: str) -> tuple[Quota, ...]:
    """Return the quotas on `resource` (an extended resource, or `cpu`) and on pods."""
    bounding = {"pods", "count/pods", f"requests.{resource}"}
    if resource == "cpu":
        bounding |= {"cpu", "memory", "requests.memory", "limits.cpu", "limits.memory"}
    return tuple(
        Quota(quota["metadata"]["name"], name, str((status.get("used") or {}).get(name, "0")), str(hard))
        for quota in quotas
        for status in [quota.get("status") or {}]
        for name, hard in sorted((status.get("hard") or {}).items())
        if name in bounding
    )


def slice_map(rows: Sequence[NodeSlices]) -> Lines:
    """Return one row for each node and resource: the holder of each slice, free and unhealthy ones; then the sums."""
    if not rows:
        return [line("no node offers a slice (an extended resource)")]
    cells = [
        (row.zone or '""', row.node, row.resource, row.memory or "-", f"{row.free}/{row.offered}", _held_by(row))
        for row in rows
    ]
    shown = table(("ZONE", "NODE", "SLICE", "MEMORY", "FREE", "HELD BY"), cells)
    return [shown, BLANK, *[line(text) for text in _sums(rows)]]


def _held_by(row: NodeSlices) -> Line:
    cells = [_holder_cell(holder) for holder in row.holders]
    empty = max(0, row.offered - len(row.holders))
    cells += [(f"[{row.note}]", "dim") if row.note else ("[free]", "green")] * empty
    cells += [("[unhealthy]", "red")] * row.unhealthy
    shown = line()
    for index, cell in enumerate(cells):
        shown += line(" " if index else "", cell)
    return shown


def _holder_cell(holder: Holder) -> Styled:
    if not holder.pool:
        return f"[{holder.namespace}/{holder.pod}]", "dim"
    ends = ", terminating" if holder.terminating else ""
    return f"[{holder.namespace}/{holder.pool} {holder.revision} {holder.pod}{ends}]", "cyan"


def _sums(rows: Sequence[NodeSlices]) -> list[str]:
    lines = []
    for resource in sorted({row.resource for row in rows}):
        mine = [row for row in rows if row.resource == resource]
        offered, free = sum(row.offered for row in mine), sum(row.free for row in mine)
        dead = sum(row.unhealthy for row in mine)
        lines.append(f"{resource}: {free} of {offered} free" + (f", {dead} unhealthy" if dead else ""))
    return lines
