"""Apply: carry out a plan. Children in its order, then what is no longer wanted, then pods, each write guarded.

A child that the API server refuses becomes a fact (`ApplyFailure`) and the others go on; trouble of the server itself ends
the pass. Each answer goes into the cache at once, so the next pass reads what this one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slicewise.api.labels import API_VERSION, KIND
from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import PODS, POOLS, Resource
from slicewise.cluster.cache import Cache
from slicewise.cluster.records import Child, PoolEntry, controller_of, is_pool
from slicewise.controller.diff import Change
from slicewise.pool.observed import ApplyFailure
from slicewise.pool.outcome import PodDeletion, PoolPlan

_LONGEST: Final = 300
"""Characters of the API server's sentence that go into a condition."""


class LeaseLostError(Exception):
    """This replica may not write any more."""


class ConflictError(Exception):
    """The view was stale: something changed between reading and writing. Read again."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a plan asks for beyond what is there."""

    changes: Sequence[Change]
    prune: Sequence[Child]
    deletions: Sequence[PodDeletion]
    status_differs: bool

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.status_differs or self.prune or self.deletions or any(change.writes for change in self.changes)
        )


class Applier:
    """Writes to the API server on behalf of one pool at a time."""

    def __init__(self, cache: Cache, kube: KubeApi, may_write: Callable[[], bool]) -> None:
        """`may_write`: asked before each write; False once another replica may hold the lease."""
        self._cache = cache
        self._kube = kube
        self._may_write = may_write

    async def children(self, entry: PoolEntry, work: Work) -> tuple[ApplyFailure, ...]:
        """Write, prune and delete. Returns what was refused. Raises ApiError when the server is in trouble."""
        failures = [failure for change in work.changes if (failure := await self._child(entry, change)) is not None]
        for child in work.prune:
            failure = await self._prune(entry, child)
            if failure is not None:
                failures.append(failure)
        for deletion in work.deletions:
            await self._delete_pod(entry, deletion)
        return tuple(failures)

    async def status(self, entry: PoolEntry, version: str, plan: PoolPlan) -> None:
        """Write the whole status, only onto the version of the pool that was read. Raises ConflictError."""
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": entry.name,
                "namespace": entry.namespace,
                "uid": entry.uid,
                "resourceVersion": version,
            },
            "status": plan.status,
        }
        try:
            await self._apply(POOLS, body, "status")
        except ApiError as error:
            if error.code in {404, 409} or _uid_differs(error):
                raise ConflictError(error.message) from error
            raise

    async def _child(self, entry: PoolEntry, change: Change) -> ApplyFailure | None:
        if change.action == "foreign":
            return _foreign(change)
        if not change.writes:
            return None
        try:
            await self._apply(change.resource, change.body())
        except ApiError as error:
            if error.code == 409 and change.record is None:
                return await self._exists_already(entry, change)
            return _refused(change.resource.kind, change.name, error)
        return None

    async def _exists_already(self, entry: PoolEntry, change: Change) -> ApplyFailure | None:
        """The cache knows no such child, the API server does: ours without its labels, or a foreign one."""
        there = await self._kube.get(change.resource, entry.namespace, change.name)
        owner = {} if there is None else controller_of(there) or {}
        if there is None or "deletionTimestamp" in there["metadata"] or (is_pool(owner) and owner["uid"] != entry.uid):
            raise ConflictError(f"{change.resource.kind} {change.name} is being deleted")
        if owner.get("uid") != entry.uid:
            return _foreign(change)
        body = {**change.manifest, "metadata": {**change.manifest["metadata"], "uid": there["metadata"]["uid"]}}
        try:
            await self._apply(change.resource, body)
        except ApiError as error:
            return _refused(change.resource.kind, change.name, error)
        return None

    async def _apply(self, resource: Resource, body: Mapping[str, Any], subresource: str | None = None) -> None:
        """Write, and take the answer in. While an answer is on its way, events wait for it a moment (`clients/stream.py`)."""
        self._check()
        self._cache.in_flight += 1
        try:
            answer = await self._kube.apply(resource, body, subresource=subresource)
        finally:
            self._cache.in_flight -= 1
        self._cache.ingest_own(resource, answer)

    async def _prune(self, entry: PoolEntry, child: Child) -> ApplyFailure | None:
        self._check()
        try:
            await self._kube.delete(child.resource, entry.namespace, child.name, uid=child.uid)
        except ApiError as error:
            return _refused(child.resource.kind, child.name, error)
        child.terminating = True
        return None

    async def _delete_pod(self, entry: PoolEntry, deletion: PodDeletion) -> None:
        self._check()
        await self._kube.delete(PODS, entry.namespace, deletion.name, uid=deletion.uid)
        record = entry.pods.get(deletion.uid)
        if record is not None:
            # Until the event comes, a next pass must not delete it once more.
            record.observed = replace(record.observed, terminating=True)

    def _check(self) -> None:
        if not self._may_write():
            raise LeaseLostError


def _refused(kind: str, name: str, error: ApiError) -> ApplyFailure:
    """A refusal of this object as a fact; anything that waiting or reading again mends is raised instead."""
    if error.passing or error.code == 401:
        raise error
    if error.code == 409 or _uid_differs(error):
        raise ConflictError(error.message) from error
    return ApplyFailure(kind, name, error.code, error.message[:_LONGEST])


def _uid_differs(error: ApiError) -> bool:
    return error.code == 422 and "metadata.uid" in error.message


def _foreign(change: Change) -> ApplyFailure:
    message = (
        f"an object of that name exists and does not belong to this pool; it is left as it is. "
        f"Delete or rename {change.resource.kind} {change.name}, or give the pool another name"
    )
    return ApplyFailure(change.resource.kind, change.name, 409, message)
