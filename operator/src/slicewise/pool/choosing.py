"""Choosing: which of several workers goes where they stand on unlike nodes or devices. Called by `plan_pool`; pure.

A ReplicaSet that shrinks takes one of its ready pods and does not look at their nodes. But the slice of a worker on a cordoned node, or on
one that offers fewer slices than are held there, is of no use to the one that comes. So, in a zone with unlike workers:

    a worker goes to make room      it is one that leaves a slice, first one on a device called unhealthy
    a worker goes as one too many   it is one on a device called unhealthy, else one whose slice is of no use

It is deleted by name, and the Deployment stays as it is. In a later pass the ReplicaSet has one that does not serve, so that is what it
takes when the Deployment shrinks. The other way round the ReplicaSet could take a second one. ADR 35.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from slicewise.pool.observed import ObservedDeployment, ObservedPod
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.rollout.view import RevisionReplicas
from slicewise.pool.workers import Workers


@dataclass(frozen=True, slots=True)
class ZonePlaces:
    """What a zone has for workers that come."""

    desired: int
    free: int
    """Slices that a further worker can take."""


def choose_by_node(
    replicas: RevisionReplicas,
    revisions: tuple[str | None, str | None],
    workers: Workers,
    no_place: Collection[str],
    places: Mapping[str, ZonePlaces],
) -> tuple[RevisionReplicas, tuple[PodDeletion, ...]]:
    """Return `replicas` without the steps that are done by name, and the workers to delete instead: at most one of a Deployment.

    `revisions`: stable and canary. `no_place`: nodes on which a worker that goes leaves no slice for another. `places`: zone → what it has.
    """
    if not no_place and not any(pod.suspect for pod in workers.pods):
        return replicas, ()
    stable, canary = dict(replicas.stable), dict(replicas.canary)
    chosen = []
    for revision, own, other in (
        (revisions[0], stable, _coming(revisions[1], replicas.canary, workers)),
        (revisions[1], canary, _coming(revisions[0], replicas.stable, workers)),
    ):
        for item in workers.deployments:
            if revision is None or item.revision != revision or item.replicas - own.get(item.zone, 0) != 1:
                continue
            has = places.get(item.zone, ZonePlaces(0, 0))
            total = stable.get(item.zone, 0) + canary.get(item.zone, 0)
            room = other.get(item.zone, 0) > 0 or (total < has.desired and has.free == 0)
            goes = _of_unlike(item, workers, no_place, make_room=room)
            if goes is not None:
                own[item.zone] = item.replicas
                chosen.append(PodDeletion(goes.name, goes.uid, "Replaced"))
    return replace(replicas, stable=stable, canary=canary), tuple(chosen)


def _coming(revision: str | None, planned: Mapping[str, int], workers: Workers) -> Mapping[str, int]:
    """Return zone → workers of `revision` that are planned and have no node yet."""
    placed = workers.placed(revision) if revision is not None else {}
    return {zone: count - placed.get(zone, 0) for zone, count in planned.items()}


def _of_unlike(
    item: ObservedDeployment, workers: Workers, no_place: Collection[str], *, make_room: bool
) -> ObservedPod | None:
    """Return the worker of a Deployment that is to go; None where the ReplicaSet takes one that does not serve, or all are alike."""
    pods = [
        pod for pod in workers.pods if (pod.revision, pod.zone) == (item.revision, item.zone) and not pod.terminating
    ]
    if len(pods) != item.replicas or not all(pod.serving for pod in pods):
        return None
    kinds = {pod.name: (not pod.suspect, pod.node not in no_place) for pod in pods}
    useful = [pod for pod in pods if pod.node not in no_place] if make_room else pods
    if not useful or len(set(kinds.values())) == 1:
        return None
    return min(useful, key=lambda pod: (kinds[pod.name], _load(pod), pod.name))


def _load(pod: ObservedPod) -> float:
    """Its requests; a worker that does not say how many it has counts as the fullest."""
    return float("inf") if pod.requests is None else pod.requests
