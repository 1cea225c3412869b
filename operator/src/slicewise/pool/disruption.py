"""Disruption: workers on cordoned nodes, on dead devices, and left-overs that are no workers. Called by `plan_pool`; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slicewise.pool.observed import ObservedNode, ObservedPod
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.slices import ZoneSlices
from slicewise.pool.workers import Workers
from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class BlockedDrain:
    """A cordoned node whose worker cannot go."""

    node: str
    zone: str
    floor: int
    serving: int


def deletions(pods: Iterable[ObservedPod]) -> tuple[PodDeletion, ...]:
    """Return the pods to remove at once.

    `Failed` pods stay behind after a node restart (`UnexpectedAdmissionError`) or an eviction, and are no workers. A container
    on a dead device goes on running, so its pod is deleted; the dead device is no longer offered, so the replacement lands
    elsewhere. A worker that ended because its weights changed on disk would end so again: only a new pod fetches them anew.
    """
    result = []
    for pod in pods:
        if pod.terminating:
            continue
        if pod.phase in {"Failed", "Succeeded"}:
            result.append(PodDeletion(pod.name, pod.uid, "FailedLeftOver"))
        elif pod.device_unhealthy:
            result.append(PodDeletion(pod.name, pod.uid, "DeviceUnhealthy"))
        elif pod.ended_reason == "DigestMismatch" and not pod.ready:
            result.append(PodDeletion(pod.name, pod.uid, "WeightsDamaged"))
    return tuple(result)


def _on_cordoned(workers: Workers, nodes: Iterable[ObservedNode]) -> dict[str, Counter[str]]:
    """Return zone → node → serving workers on cordoned nodes."""
    cordoned = {node.name for node in nodes if node.cordoned}
    result: dict[str, Counter[str]] = {}
    for pod in workers.pods:
        if pod.serving and pod.node in cordoned:
            result.setdefault(pod.zone, Counter())[str(pod.node)] += 1
    return result


def drain_surge(
    steady: Mapping[str, int],
    asked: Mapping[str, int],
    slices: Sequence[ZoneSlices],
    workers: Workers,
    nodes: Iterable[ObservedNode],
) -> dict[str, int]:
    """Return zone → replicas with one more where a worker stands on a cordoned node and a slice is free in its zone.

    The new worker becomes ready first; then the budget lets the old one go, and with it the surge ends. A surge that is
    under way stays although it has taken the free slice.
    """
    leaving = _on_cordoned(workers, nodes)
    free = {entry.zone: entry.free for entry in slices}
    result = dict(steady)
    for zone in leaving:
        count = steady.get(zone, 0)
        under_way = asked.get(zone, 0) > count
        if count > 0 and (free.get(zone, 0) > 0 or under_way):
            result[zone] = count + 1
    return result


def blocked_drains(
    targets: Sequence[ZoneTarget], slices: Sequence[ZoneSlices], workers: Workers, nodes: Iterable[ObservedNode]
) -> tuple[BlockedDrain, ...]:
    """Return the cordoned nodes that cannot be drained: the zone is at its floor and has no free slice.

    Not blocked while a replacement of the zone is starting.
    """
    serving = workers.serving()
    free = {entry.zone: entry.free for entry in slices}
    floor = {target.zone: target.floor for target in targets}
    cordoned = {node.name for node in nodes if node.cordoned}
    starting = {
        pod.zone
        for pod in workers.pods
        if pod.node and pod.node not in cordoned and not pod.ready and not pod.terminating
    }
    return tuple(
        BlockedDrain(node, zone, floor.get(zone, 0), serving[zone])
        for zone, on_nodes in sorted(_on_cordoned(workers, nodes).items())
        for node in sorted(on_nodes)
        if serving[zone] - 1 < floor.get(zone, 0) and free.get(zone, 0) == 0 and zone not in starting
    )
