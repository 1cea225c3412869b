"""From a pod or a node as the API server sends it to the values that decisions look at. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from slicewise.api import labels
from slicewise.api.bounds import count, json_object, line, word
from slicewise.api.quantity import Bytes, parse_quantity
from slicewise.pool.observed import FetchProgress, ObservedNode, ObservedPod, Taint
from slicewise.pool.placement import read_placement, untolerated
from slicewise.pool.said import ModelNeeds, WorkerInfo, read_needs

FETCH_CONTAINER: Final = "fetch"
WORKER_CONTAINER: Final = "worker"
_STARTING: Final = frozenset({"PodInitializing", "ContainerCreating"})
_LONGEST_START: Final = 3600.0
"""Seconds that a worker may take to serve for the first time and still say what the next one takes."""
_MOST_SLICES: Final = 1_000_000
"""Slices of one kind that a node or a pod is taken to have at most."""
_SHARED: Final[dict[str, str]] = {}
_MOST_SHARED: Final = 20_000
_ANY_WORKER: Final = read_placement({})
"""What a worker of a pool that says nothing about nodes tolerates."""


@dataclass(slots=True, eq=False)
class PodRecord:
    """A worker pod in the cache: what decisions see of it, and where to ask it for more."""

    version: int
    observed: ObservedPod
    """Without `fetch` while it runs and without `worker`; the observing step fills those in."""
    address: str = ""
    cores: float = 0.0
    """CPU cores that its containers ask for."""
    creating: bool = False
    """It has a node and not what its first container needs (volumes, a network): what it lacks, only Events say."""
    lacks: str = ""
    """What the kubelet says of a volume that it cannot mount, from the latest look."""
    fetching: bool = False
    """The init container runs, so its progress can be asked for."""
    container: int = 0
    """Hash of the id of the worker container while it is ready, else 0."""
    progress: FetchProgress | None = None
    """Answer of the latest look."""
    info: WorkerInfo | None = None
    info_of: int = 0
    """Container that `info` is about; asked once for each."""
    info_tries: int = 0
    """How often the container did not answer, and when (monotonic) it is asked again."""
    info_due: float = 0.0


def read_pod(body: Mapping[str, Any], version: int) -> PodRecord:
    """Return the record of a worker pod."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    marks: Mapping[str, str] = metadata.get("labels") or {}
    init = container_of(status.get("initContainerStatuses"), FETCH_CONTAINER)
    worker = container_of(status.get("containerStatuses"), WORKER_CONTAINER)
    reason, message = waiting_of(status, (init, worker))
    ready = is_ready(status)
    fetching = "running" in (init.get("state") or {})
    ended = ended_of(worker)
    ended_reason, ended_message = said_at_end(ended) if ended else (None, "")
    observed = ObservedPod(
        name=metadata["name"],
        uid=metadata["uid"],
        revision=shared(marks.get(labels.LABEL_REVISION, "")),
        zone=shared(marks.get(labels.LABEL_ZONE, "")),
        node=shared(spec["nodeName"]) if spec.get("nodeName") else None,
        phase=shared(status.get("phase") or "Pending"),
        ready=ready,
        terminating="deletionTimestamp" in metadata,
        created_at=timestamp(metadata.get("creationTimestamp")),
        resource=next((shared(name) for name in held_slices(spec)), None),
        device_unhealthy=_device_unhealthy(worker),
        waiting_reason=reason,
        waiting_message=message,
        restarts=count(worker.get("restartCount")) or 0,
        ended_reason=ended_reason,
        ended_message=ended_message,
        refused_needs=_refused_needs(ended),
        fetch=None if fetching else _fetch_outcome(init),
        started_in=_started_in(status) if ready and not count(worker.get("restartCount")) else None,
    )
    return PodRecord(
        version=version,
        observed=observed,
        address=status.get("podIP") or "",
        cores=requested_cores(spec),
        creating=_is_creating(observed, status, init),
        fetching=fetching and not observed.terminating,
        container=hash(worker.get("containerID") or "") if ready and not observed.terminating else 0,
    )


def _started_in(status: Mapping[str, Any]) -> float | None:
    """Seconds between the kubelet's `Ready` and the scheduler's `PodScheduled`; both are whole seconds of clocks that may differ."""
    since = {item.get("type"): item.get("lastTransitionTime") for item in status.get("conditions") or ()}
    placed, served = since.get("PodScheduled"), since.get("Ready")
    if not placed or not served:
        return None
    seconds = timestamp(served) - timestamp(placed)
    return seconds if 0.0 <= seconds <= _LONGEST_START else None


def _is_creating(pod: ObservedPod, status: Mapping[str, Any], init: Mapping[str, Any]) -> bool:
    """Once its volumes are mounted and it has a network, the kubelet says so, and images may still be pulled for minutes."""
    begun = {"running", "terminated"} & (init.get("state") or {}).keys() or _is_true(
        status, "PodReadyToStartContainers"
    )
    return pod.node is not None and pod.phase == "Pending" and not (begun or pod.terminating or pod.waiting_reason)


def shared(text: str) -> str:
    """Return the one copy of a text that many records hold (names of nodes, zones, resources, revisions)."""
    if len(_SHARED) > _MOST_SHARED:
        _SHARED.clear()
    return _SHARED.setdefault(text, text)


def held_slices(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return extended resource → how many a pod of that spec takes (its containers together, init containers at most)."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        for name, number in _extended((container.get("resources") or {}).get("limits")).items():
            total[name] = total.get(name, 0) + number
    for container in spec.get("initContainers") or ():
        for name, number in _extended((container.get("resources") or {}).get("limits")).items():
            total[name] = max(total.get(name, 0), number)
    return total


def requested_cores(spec: Mapping[str, Any]) -> float:
    """Return the CPU cores that the containers of a pod of that spec ask for; what is no quantity asks for none."""
    total = 0.0
    for container in spec.get("containers") or ():
        try:
            total += float(parse_quantity(((container.get("resources") or {}).get("requests") or {}).get("cpu") or 0))
        except ValueError:
            continue
    return total


def read_node(body: Mapping[str, Any]) -> ObservedNode:
    """Return a node as far as slices go."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    marks: Mapping[str, str] = metadata.get("labels") or {}
    allocatable = _extended(status.get("allocatable"))
    taints = tuple(_taint(taint) for taint in spec.get("taints") or () if not _of_the_cluster(taint))
    return ObservedNode(
        name=metadata["name"],
        zone=marks.get(labels.ZONE_KEY, ""),
        allocatable=allocatable,
        slice_memory=_slice_memory(allocatable, marks),
        cordoned=bool(spec.get("unschedulable")) or "deletionTimestamp" in metadata,
        ready=is_ready(status),
        tainted=bool(untolerated(_ANY_WORKER, taints)),
        taints=taints,
        labels=marks,
    )


def is_lost(node: str | None, nodes: Mapping[str, ObservedNode]) -> bool:
    """Whether the node of a pod is deleted, or was not seen for its grace: what the pod last said of itself no longer holds.

    The pod stays `Ready` in the API for up to a minute after its node is deleted, until the garbage collector takes it.
    """
    return node is not None and (node not in nodes or not nodes[node].ready)


def timestamp(text: str | None) -> float:
    """Return an RFC 3339 time as seconds since the epoch; 0 if it is missing."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _extended(resources: Mapping[str, Any] | None) -> dict[str, int]:
    """Extended resources: `domain/name` outside kubernetes.io, counted in whole pieces."""
    found = {}
    for name, amount in (resources or {}).items():
        domain, slash, _ = name.partition("/")
        if slash and not domain.endswith("kubernetes.io"):
            try:
                found[name] = max(0, min(_MOST_SLICES, int(parse_quantity(amount))))
            except ValueError:
                continue
    return found


def _slice_memory(allocatable: Iterable[str], marks: Mapping[str, str]) -> dict[str, Bytes]:
    """GPU feature discovery writes the memory of one slice beside its name, in MiB."""
    found = {}
    for resource in allocatable:
        text = marks.get(f"{resource}.memory")
        if text is None:
            continue
        try:
            found[resource] = Bytes.from_mib_label(text)
        except ValueError:
            continue
    return found


def _of_the_cluster(taint: Mapping[str, Any]) -> bool:
    """Whether it is one of the cluster's own, which say what `cordoned` and `ready` say."""
    return str(taint.get("key", "")).startswith("node.kubernetes.io/")


def _taint(taint: Mapping[str, Any]) -> Taint:
    return Taint(
        shared(str(taint.get("key", ""))), shared(str(taint.get("value") or "")), shared(str(taint.get("effect", "")))
    )


def is_ready(status: Mapping[str, Any]) -> bool:
    """Whether a status has the condition Ready."""
    return _is_true(status, "Ready")


def _is_true(status: Mapping[str, Any], kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or ())


def container_of(statuses: Iterable[Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    """Return the status of the container of that name; empty if there is no such container."""
    return next((status for status in statuses or () if status.get("name") == name), {})


def waiting_of(status: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> tuple[str | None, str]:
    """Return reason and message of what a pod waits for; None where it waits for nothing but its start."""
    if status.get("phase") == "Failed":
        return word(status.get("reason")) or "Failed", line(status.get("message"))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return word(condition.get("reason")) or "Unschedulable", line(condition.get("message"))
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _STARTING:
            return word(waiting["reason"]), said_at_end(ended_of(container))[1] or line(waiting.get("message"))
    return None, ""


def _fetch_outcome(init: Mapping[str, Any]) -> FetchProgress | None:
    """What an ended `fetch` container left behind: success, or the cause in its termination message."""
    ended = ended_of(init)
    if not ended:
        return None
    if ended.get("exitCode") == 0:
        return FetchProgress(done=True)
    reason, message = said_at_end(ended)
    return FetchProgress(reason=reason, message=message or f"exit code {ended.get('exitCode')}")


def ended_of(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how a container last ended; empty where it never did."""
    return (
        (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    )


def said_at_end(ended: Mapping[str, Any]) -> tuple[str, str]:
    """Return reason and message of a termination message: ours are JSON with both; else the kubelet's reason and the text itself."""
    text = str(ended.get("message") or "")
    said = json_object(text)
    if said is not None and (reason := word(said.get("reason"))):
        return reason, line(said.get("message"))
    return word(ended.get("reason")) or "Error", line(text)


def _refused_needs(ended: Mapping[str, Any]) -> ModelNeeds | None:
    """What a worker said that its model takes, as it found its slice too small."""
    said = json_object(str(ended.get("message") or "")) or {}
    if said.get("reason") != "ModelTooLarge":
        return None
    return read_needs(said.get("memory"), on_gpu=said.get("on_gpu"))


def _device_unhealthy(worker: Mapping[str, Any]) -> bool:
    """Kubernetes' ResourceHealthStatus: the kubelet says on the pod how the device is."""
    return any(
        device.get("health") == "Unhealthy"
        for resource in worker.get("allocatedResourcesStatus") or ()
        for device in resource.get("resources") or ()
    )
