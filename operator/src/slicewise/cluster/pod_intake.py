"""Takes a pod of a pool from a watch, a list or an answer into the records of its kind. Each function returns whether anything changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from slicewise.cluster.gateway_pods import GatewayRecord, read_gateway_pod
from slicewise.cluster.jobs_pods import JobsRecord, read_jobs_pod
from slicewise.cluster.records import version_of
from slicewise.objects.pods import PodRecord, read_pod


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


P = TypeVar("P", bound=_Versioned)
A = TypeVar("A", GatewayRecord, JobsRecord)


def take_worker(pods: dict[str, PodRecord], body: Mapping[str, Any], *, deleted: bool) -> bool:
    """Take in a worker on a slice or of the CPU fallback. `pods`: those of its kind by uid. What was asked of it is kept."""
    uid, version = body["metadata"]["uid"], version_of(body)
    known = pods.get(uid)
    if deleted:
        return pods.pop(uid, None) is not None
    if known is not None and version <= known.version:
        return False
    record = read_pod(body, version)
    if known is not None:
        record.progress, record.info, record.info_of = known.progress, known.info, known.info_of
        record.lacks = known.lacks if record.creating else ""
        if known.observed.started_in is not None:
            # A worker that was not ready for a while has not started again.
            record.observed = replace(record.observed, started_in=known.observed.started_in)
        if known.container == record.container:
            record.info_tries, record.info_due = known.info_tries, known.info_due
    pods[uid] = record
    return known is None or (
        known.observed != record.observed
        or known.fetching != record.fetching
        or known.container != record.container
        or known.lacks != record.lacks
    )


def take_gateway_pod(pods: dict[str, GatewayRecord], body: Mapping[str, Any], *, deleted: bool) -> bool:
    """Take in a pod of the gateway. `pods`: the pool's gateway pods by uid."""
    return _take(pods, body, read_gateway_pod, deleted=deleted)


def take_jobs_pod(pods: dict[str, JobsRecord], body: Mapping[str, Any], *, deleted: bool) -> bool:
    """Take in a pod of the API of jobs, or a dispatcher. `pods`: those of the pool by uid."""
    return _take(pods, body, read_jobs_pod, deleted=deleted)


def _take(
    pods: dict[str, A], body: Mapping[str, Any], read: Callable[[Mapping[str, Any], int, A | None], A], *, deleted: bool
) -> bool:
    """Take in a pod whose record keeps what was asked of the one before."""
    uid, version = body["metadata"]["uid"], version_of(body)
    known = pods.get(uid)
    if deleted:
        return pods.pop(uid, None) is not None
    if known is not None and version <= known.version:
        return False
    record = pods[uid] = read(body, version, known)
    return known is None or known.observed != record.observed or known.container != record.container


def drop_ended(pods: dict[str, P], version: int, uids: Set[str]) -> int:
    """Drop what a complete list at `version` no longer contains, and return how many. `uids`: those in the list."""
    ended = [uid for uid, pod in pods.items() if uid not in uids and pod.version <= version]
    for uid in ended:
        del pods[uid]
    return len(ended)
