"""A pool with its conditions, rollout, zones, revisions and workers, as `kubectl slicewise get` shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import LABEL_POOL
from slicewise.api.v1alpha1.status import PoolStatus, RevisionsStatus, SliceStatus
from slicewise.objects.pods import read_pod
from slicewise.pool.observed import ObservedPod
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.gitops import brought_by
from slicewise_cli.view.request import present_request
from slicewise_cli.view.rollout import Rollout, read_rollout, read_status


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the pool."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker pod. `state` is `ready`, or what it is waiting for."""

    name: str
    zone: str
    node: str
    revision: str
    state: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that is stable, a canary, or still has workers."""

    hash: str
    role: str
    """`stable`, `canary`, `given up` or `leaving`."""
    weight: int | None
    """Weight in per cent of the requests; None if the status has none."""
    workers: tuple[Worker, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """Workers of one zone, over all revisions."""

    name: str
    desired: int
    ready: int
    floor: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The view of a pool."""

    name: str
    namespace: str
    model: str
    """The model name that clients send now."""
    wanted_model: str
    """The model name in the spec if it differs; else empty."""
    adapters: tuple[str, ...]
    """Names of those in the spec, in its order."""
    endpoint: str
    slice: str
    """The resource that each worker takes."""
    generation: int
    observed_generation: int
    """-1 before the first reconcile."""
    created_at: str
    deleting: bool
    desired: int
    ready: int
    conditions: tuple[Condition, ...]
    rollout: Rollout
    request: str
    """The value of the annotation with a request about the rollout; empty without one."""
    brought_by: str
    """The GitOps tool that manages the pool: `Argo CD`, `Flux` or empty."""
    zones: tuple[Zone, ...]
    revisions: tuple[Revision, ...]
    workers_known: bool
    """False if the user may not list pods."""

    @property
    def stale(self) -> bool:
        """Whether the status is about an older spec."""
        return self.observed_generation != self.generation

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type."""
        return next((entry for entry in self.conditions if entry.type == kind), None)


def read_pool(pool: Mapping[str, Any], pods: Iterable[Mapping[str, Any]] | None) -> Pool:
    """Return the view of a pool. `pods`: the workers of this and other pools; None if the user may not list them."""
    metadata, spec, status = pool["metadata"], pool.get("spec") or {}, read_status(pool)
    rollout = read_rollout(status)
    name = metadata["name"]
    mine = [pod for pod in pods or () if (pod["metadata"].get("labels") or {}).get(LABEL_POOL) == name]
    workers = sorted((_worker(read_pod(pod, 0).observed) for pod in mine), key=lambda item: (item.zone, item.name))
    return Pool(
        name=name,
        namespace=metadata.get("namespace", ""),
        model=status.model or (spec.get("model") or {}).get("name") or name,
        wanted_model=status.wanted_model or "",
        adapters=tuple(str(item.get("name")) for item in (spec.get("model") or {}).get("adapters") or ()),
        endpoint=status.endpoint or "",
        slice=(status.slice or SliceStatus()).resource or "",
        generation=int(metadata.get("generation") or 0),
        observed_generation=-1 if status.observed_generation is None else status.observed_generation,
        created_at=metadata.get("creationTimestamp") or "",
        deleting="deletionTimestamp" in metadata,
        desired=status.desired or 0,
        ready=status.ready_replicas or 0,
        conditions=tuple(
            Condition(item.type, item.status, item.reason, item.message) for item in status.conditions or ()
        ),
        rollout=rollout,
        request=present_request(pool),
        brought_by=brought_by(pool),
        zones=tuple(Zone(item.name, item.desired, item.ready, item.floor) for item in status.zones or ()),
        revisions=_revisions(status, rollout, workers),
        workers_known=pods is not None,
    )


def _worker(pod: ObservedPod) -> Worker:
    state, message = _state(pod)
    return Worker(pod.name, pod.zone, pod.node or "", pod.revision, state, message)


def _state(pod: ObservedPod) -> tuple[str, str]:
    if pod.terminating:
        return "terminating", ""
    if pod.device_unhealthy:
        return ("device unhealthy", "still answers") if pod.serving else ("device died", "")
    if pod.phase in {"Failed", "Succeeded"}:
        return pod.phase.lower(), pod.ended_reason or ""
    if pod.serving:
        return "ready", ""
    if pod.waiting_reason:
        return pod.waiting_reason, pod.waiting_message
    if pod.node is None:
        return "no node yet", ""
    if pod.fetch is None or not pod.fetch.done:
        return "fetching weights", pod.fetch.message if pod.fetch else ""
    return "loading", ""


def _revisions(status: PoolStatus, rollout: Rollout, workers: list[Worker]) -> tuple[Revision, ...]:
    named = status.revisions or RevisionsStatus()
    stable, canary = named.stable, named.canary
    given_up = rollout.target if rollout.phase is Phase.ROLLED_BACK else None
    roles = {given_up: "given up", canary: "canary", stable: "stable"}
    order = [canary, stable, given_up, *sorted({worker.revision for worker in workers})]
    shown = dict.fromkeys(revision for revision in order if revision)
    weights = _weights(stable, canary, rollout)
    return tuple(
        Revision(
            hash=revision,
            role=roles.get(revision, "leaving"),
            weight=weights.get(revision),
            workers=tuple(worker for worker in workers if worker.revision == revision),
        )
        for revision in shown
    )


def _weights(stable: str | None, canary: str | None, rollout: Rollout) -> dict[str, int]:
    """Revision → weight in per cent of the requests, from the status."""
    if not stable:
        return {}
    if not canary:
        return {stable: 100}
    if rollout.weight is None:
        return {}
    return {canary: rollout.weight, stable: 100 - rollout.weight}
