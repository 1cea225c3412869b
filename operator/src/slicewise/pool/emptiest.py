"""Emptiest: which workers go when a pool shrinks. Called by `choose_workers` while no rollout is under way; pure.

A ReplicaSet that shrinks takes one of its ready pods and knows nothing of their requests. A worker that ends lets its answers finish, so
a full one holds its slice for as long as the longest of them, and its clients lose the caches of their prompts. So in each zone

    those that do not serve go first       the Deployment shrinks to the workers that serve
    then those with the fewest requests    by name; the Deployment stays as it is
    then the Deployment shrinks            in a later pass, when it has as many that do not serve

as with the choice by nodes (`choosing.py`, ADR 35), which comes first here too: on devices called unhealthy, on nodes whose slices serve no
other, and by requests among what is left. Where all are alike, or it is not known of enough workers how many requests they have, the
ReplicaSet chooses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from slicewise.pool.observed import ObservedDeployment, ObservedPod
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.rollout.view import RevisionReplicas
from slicewise.pool.workers import Workers


def choose_by_load(
    replicas: RevisionReplicas, stable: str, workers: Workers, no_place: Collection[str]
) -> tuple[RevisionReplicas, tuple[PodDeletion, ...]]:
    """Return `replicas` without the steps that are done by name, and the workers to delete instead.

    `stable`: the revision that shrinks. `no_place`: nodes on which a worker that goes leaves no slice for another.
    """
    asked = dict(replicas.stable)
    chosen: list[PodDeletion] = []
    for item in workers.deployments:
        keep = asked.get(item.zone, 0)
        # None is left to be spared where all go; and another Deployment's worker that waits would lose the slice to a replacement.
        if item.revision != stable or not 0 < keep < item.replicas or _others_wait(item, workers):
            continue
        serving = [pod for pod in _mine(item, workers) if pod.serving]
        if len(serving) > item.replicas:
            # The ReplicaSet is about to remove some itself, and it is not known which.
            asked[item.zone] = item.replicas if _known(serving) else keep
        elif len(serving) < item.replicas:
            asked[item.zone] = max(keep, len(serving)) if _known(serving) else keep
        else:
            going = _emptiest(serving, len(serving) - keep, no_place)
            asked[item.zone] = item.replicas if going else keep
            chosen += [PodDeletion(pod.name, pod.uid, "ScaledDown") for pod in going]
    return replace(replicas, stable=asked), tuple(chosen)


def _emptiest(serving: list[ObservedPod], count: int, no_place: Collection[str]) -> list[ObservedPod]:
    """Return the `count` workers that are to go; none where the ReplicaSet may take any."""
    ranks = {
        pod.name: (not pod.suspect, pod.node not in no_place, pod.requests)
        for pod in serving
        if pod.requests is not None
    }
    if len(ranks) < count or (len(ranks) == len(serving) and len(set(ranks.values())) == 1):
        return []
    known = [pod for pod in serving if pod.name in ranks]
    return sorted(known, key=lambda pod: (ranks[pod.name], pod.name))[:count]


def _known(pods: list[ObservedPod]) -> bool:
    """Whether any of them says how many requests it has."""
    return any(pod.requests is not None for pod in pods)


def _others_wait(item: ObservedDeployment, workers: Workers) -> bool:
    """Whether a worker of another Deployment waits for a node."""
    mine = {pod.name for pod in _mine(item, workers)}
    return any(pod.node is None and not pod.terminating for pod in workers.pods if pod.name not in mine)


def _mine(item: ObservedDeployment, workers: Workers) -> list[ObservedPod]:
    return [
        pod for pod in workers.pods if (pod.revision, pod.zone) == (item.revision, item.zone) and not pod.terminating
    ]
