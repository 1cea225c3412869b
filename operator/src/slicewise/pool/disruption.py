"""Disruption: workers on cordoned nodes, on dead devices, and failed pods that are not workers. Called by `plan_pool`; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from slicewise.pool.observed import ObservedNode, ObservedPod
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.rollout.keeping import least_serving
from slicewise.pool.slices import ZoneSlices
from slicewise.pool.workers import Workers


@dataclass(frozen=True, slots=True)
class BlockedDrain:
    """A cordoned node whose worker cannot go."""

    node: str
    zone: str
    floor: int
    serving: int
    refused: bool = False
    """Whether slices are free in the zone and no node takes the replacement all the same."""


def deletions(pods: Iterable[ObservedPod]) -> tuple[PodDeletion, ...]:
    """Return the pods to remove at once: none of them serves.

    `Failed` pods stay behind after a node restart (`UnexpectedAdmissionError`) or an eviction, and are no workers. A container
    on a dead device goes on running, so its pod is deleted; the dead device is no longer offered, so the replacement lands
    elsewhere. A worker that ended because its weights changed on disk would end so again: only a new pod fetches them again.
    Workers that still serve are left to `suspects_to_replace`.
    """
    result = []
    for pod in pods:
        if pod.terminating:
            continue
        if pod.phase in {"Failed", "Succeeded"}:
            result.append(PodDeletion(pod.name, pod.uid, "FailedLeftOver"))
        elif pod.device_unhealthy and not pod.serving:
            result.append(PodDeletion(pod.name, pod.uid, "DeviceUnhealthy"))
        elif pod.ended_reason == "DigestMismatch" and not pod.ready:
            result.append(PodDeletion(pod.name, pod.uid, "WeightsDamaged"))
    return tuple(result)


@dataclass(frozen=True, slots=True)
class ZoneAfter:
    """What a zone has once this pass is carried out."""

    replicas: int
    """Over all revisions."""
    serving: int
    floor: int
    free: int = 0
    replaced: bool = False
    """Whether a further worker of the stable revision serves, which a surge has brought."""


def suspects_to_replace(
    desired: int, zones: Mapping[str, ZoneAfter], stable: str | None, workers: Workers, no_place: Collection[str]
) -> tuple[PodDeletion, ...]:
    """Return the workers to remove that serve on a device that is called unhealthy: at most one a zone, never below its floor.

    Where a slice is free a replacement serves first (`drain_surge` asks for it). Without one, a worker goes only where another slice of
    its node is free once it is gone: one of the pool at a time, and only while no other is missing. All others go on serving: their
    slice would serve no other. Health checks err, and err on all devices at once (a driver's update, a broken plugin).
    `desired`: workers of the pool. `no_place`: nodes on which a worker that goes leaves no slice for another.
    """
    serving = sum(zone.serving for zone in zones.values())
    result = []
    for name in sorted({pod.zone for pod in workers.pods if pod.suspect}):
        zone = zones.get(name, ZoneAfter(0, 0, 0))
        here = [pod for pod in workers.pods if pod.zone == name]
        suspects = [pod for pod in here if pod.suspect and not (zone.replaced and pod.revision != stable)]
        if not zone.replaced:
            idle = all(pod.serving for pod in here) and len(here) >= zone.replicas and zone.free == 0
            suspects = [pod for pod in suspects if idle and pod.node not in no_place]
        if not suspects or zone.serving - 1 < zone.floor or serving - 1 < least_serving(desired):
            continue
        serving -= 1
        first = min(suspects, key=lambda pod: pod.name)
        result.append(PodDeletion(first.name, first.uid, "DeviceUnhealthy"))
    return tuple(result)


def _leaving(workers: Workers, nodes: Iterable[ObservedNode]) -> set[str]:
    """Return the zones with a serving worker that is to go: on a cordoned node, or on a device called unhealthy."""
    return {*_on_cordoned(workers, nodes), *(pod.zone for pod in workers.pods if pod.suspect)}


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
    """Return zone → replicas with one more where a slice is free and a worker stands on a cordoned node or a suspect device.

    The new worker becomes ready first; then the budget lets the old one go, and with it the surge ends. A surge that is
    under way stays although it has taken the free slice, and ends where the slice has gone: to another pod, or because the
    kubelet took an unhealthy device out of its offer before the scheduler had placed the new worker. In place of workers that lost
    their device: `_instead_of_lost`.
    """
    leaving, lost, serving = _leaving(workers, nodes), workers.lost(), workers.serving()
    free = {entry.zone: entry.free for entry in slices}
    releasing = workers.releasing()
    missed = {entry.zone for entry in slices if entry.short > releasing[entry.zone]}
    result = dict(steady)
    for zone in {*leaving, *lost}:
        count = steady.get(zone, 0)
        taken = 0 if zone in missed else max(0, asked.get(zone, 0) - count)
        more = max(int(zone in leaving), _instead_of_lost(count, serving[zone], lost[zone]))
        if count > 0:
            result[zone] = count + min(more, free.get(zone, 0) + taken)
    return result


def _instead_of_lost(count: int, serving: int, lost: int) -> int:
    """Return how many workers more a zone of `count` should have while `lost` of them wait on devices that are lost.

    A lost device looks free once its worker is gone, so that worker keeps it until another one serves; a ReplicaSet that shrinks then
    takes those that are not ready first. While none serves, one tries: all devices may be lost to the same cause.
    """
    if serving >= count:
        return 0
    return min(lost, count if serving else 1)


def blocked_drains(
    floor: Mapping[str, int],
    slices: Sequence[ZoneSlices],
    workers: Workers,
    nodes: Iterable[ObservedNode],
    refused: Collection[str] = (),
) -> tuple[BlockedDrain, ...]:
    """Return the cordoned nodes that cannot be drained: the zone is at its floor and has no free slice that a worker fits.

    Not blocked while a replacement of the zone is starting. `floor`: zone → floor of its budget. `refused`: zones in which all nodes
    have long refused a worker.
    """
    serving = workers.serving()
    free = {entry.zone: 0 if entry.zone in refused else entry.free for entry in slices}
    short = {entry.zone: entry.short for entry in slices}
    cordoned = {node.name for node in nodes if node.cordoned}
    starting = {
        pod.zone
        for pod in workers.pods
        if pod.node and pod.node not in cordoned and not pod.ready and not pod.terminating
    }
    return tuple(
        BlockedDrain(node, zone, floor.get(zone, 0), serving[zone], refused=zone in refused and not short.get(zone))
        for zone, on_nodes in sorted(_on_cordoned(workers, nodes).items())
        for node in sorted(on_nodes)
        if serving[zone] - 1 < floor.get(zone, 0) and free.get(zone, 0) == 0 and zone not in starting
    )
