"""The cache: everything that the watches reported, one compact record per object, grouped by pool.

Written by the event handlers and by the answers to our own writes (so a reconcile reads its own writes); read by reconciles. Each change
returns the pools that it concerns; an event that says nothing new concerns none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from slicewise.api.labels import ROLE_DISPATCH, ROLE_FALLBACK, ROLE_GATEWAY, ROLE_JOBS, ROLE_WORKER
from slicewise.clients.resources import NODES, PODS, POOLS, Resource
from slicewise.cluster.pod_intake import drop_ended, take_gateway_pod, take_jobs_pod, take_worker
from slicewise.cluster.records import (
    PoolEntry,
    keep_body,
    pack,
    pool_of,
    read_child,
    scaled_by,
    version_of,
)
from slicewise.cluster.roles import role_of
from slicewise.cluster.strangers import keep_stranger, read_stranger
from slicewise.objects.pods import PodRecord, read_node
from slicewise.pool.observed import ObservedNode

Key = tuple[str, str]
"""Namespace and name of a pool."""
_REMEMBERED_DELETIONS: Final = 4096
_REMEMBERED_WRITES: Final = 4096


class Cache:
    """Pools, their children and pods, and nodes."""

    def __init__(self) -> None:
        self.pools: dict[Key, PoolEntry] = {}
        self.nodes: dict[str, ObservedNode] = {}
        self._node_uids: dict[str, tuple[str, int]] = {}
        self.holdings: Counter[tuple[str, str]] = Counter()
        """(Node, extended resource) → slices that worker pods of all pools hold there."""
        self.workers: set[str] = set()
        """Uids of the worker pods of all pools. Any other pod is foreign, whatever its labels say."""
        self.in_flight = 0
        """Number of our own writes whose answers are outstanding."""
        self._deleted: dict[str, None] = {}
        self._written: dict[str, None] = {}

    def ingest_own(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take in the answer to one of our own writes: it holds everything we applied, and its event will add nothing."""
        self.ingest(resource, body, own=True)
        self._written[body["metadata"]["resourceVersion"]] = None
        if len(self._written) > _REMEMBERED_WRITES:
            del self._written[next(iter(self._written))]

    def is_echo(self, resource_version: str) -> bool:
        """Whether that version came as the answer to an own write, and no event of it was seen yet."""
        return self._written.pop(resource_version, self) is None

    def ingest(
        self, resource: Resource, body: Mapping[str, Any], *, deleted: bool = False, own: bool = False
    ) -> set[Key]:
        """Take in an object from a watch, a list or an answer. Returns the pools to reconcile."""
        if deleted:
            self._remember_deletion(body["metadata"]["uid"])
        elif body["metadata"]["uid"] in self._deleted:
            return set()
        if resource is NODES:
            return self._ingest_node(body, deleted)
        namespace: str = body["metadata"]["namespace"]
        name = body["metadata"]["name"] if resource is POOLS else pool_of(body)
        if name is None:
            return set()
        stranger, role = None, role_of(body, name) if resource is PODS else None
        if resource is PODS and role is None:
            stranger = None if deleted else read_stranger(body, name, version_of(body))
            deleted = True  # not ours, or no longer ours: as a worker or a gateway it does not exist
        entry = self.pools.get((namespace, name))
        if entry is None:
            if deleted and stranger is None:
                return set()
            entry = self.pools[namespace, name] = PoolEntry(namespace, name)
        if resource is POOLS:
            changed = _ingest_pool(entry, body, deleted)
        elif resource is PODS:
            # Of all kinds, for what is no more ours does not say which it was.
            kinds = [
                take_gateway_pod(entry.gateway_pods, body, deleted=deleted or role != ROLE_GATEWAY),
                take_worker(entry.fallback_pods, body, deleted=deleted or role != ROLE_FALLBACK),
                take_jobs_pod(entry.jobs_pods, body, deleted=deleted or role not in {ROLE_JOBS, ROLE_DISPATCH}),
                self._ingest_worker(entry, body, deleted=deleted or role != ROLE_WORKER),
            ]
            changed = any(kinds)
            keep_stranger(entry.strangers, body["metadata"]["uid"], stranger)
        else:
            changed = _ingest_child(entry, resource, body, deleted, own)
        self._drop_if_empty(entry)
        return {entry.key} if changed else set()

    def retain(self, resource: Resource, namespace: str | None, version: int, uids: Set[str]) -> set[Key]:
        """Drop what a complete list at `version` no longer contains. `namespace` None: the list covered all."""
        touched: set[Key] = set()
        if resource is NODES:
            for name, (uid, seen) in list(self._node_uids.items()):
                if uid not in uids and seen <= version:
                    touched |= self._ingest_node({"metadata": {"name": name, "uid": uid}}, deleted=True)
            return touched
        for entry in list(self.pools.values()):
            if namespace is not None and entry.namespace != namespace:
                continue
            if self._retain(entry, resource, version, uids):
                touched.add(entry.key)
            self._drop_if_empty(entry)
        return touched

    def existing(self) -> Iterable[Key]:
        """Return the pools that exist."""
        return [key for key, entry in self.pools.items() if entry.uid]

    def _retain(self, entry: PoolEntry, resource: Resource, version: int, uids: Set[str]) -> bool:
        if resource is POOLS:
            gone = entry.uid and entry.uid not in uids and entry.version <= version
            return bool(gone) and _ingest_pool(entry, {"metadata": {"uid": entry.uid}}, deleted=True)
        if resource is PODS:
            ended = [uid for uid, pod in entry.pods.items() if uid not in uids and pod.version <= version]
            for uid in ended:
                self._count(entry.pods.pop(uid), -1)
            left = drop_ended(entry.gateway_pods, version, uids) + drop_ended(entry.fallback_pods, version, uids)
            left += drop_ended(entry.jobs_pods, version, uids)
            drop_ended(entry.strangers, version, uids)
            return bool(ended or left)
        kept = [c for c in entry.children if c.resource is not resource or c.uid in uids or c.version > version]
        changed = len(kept) != len(entry.children)
        entry.children = kept
        return changed

    def _remember_deletion(self, uid: str) -> None:
        """The answer to one of our own writes may arrive after the deletion event; it must not bring the object back."""
        self._deleted[uid] = None
        if len(self._deleted) > _REMEMBERED_DELETIONS:
            del self._deleted[next(iter(self._deleted))]

    def _ingest_worker(self, entry: PoolEntry, body: Mapping[str, Any], *, deleted: bool) -> bool:
        uid = body["metadata"]["uid"]
        before = entry.pods.get(uid)
        changed = take_worker(entry.pods, body, deleted=deleted)
        after = entry.pods.get(uid)
        if before is not after:
            self._count(before, -1)
            self._count(after, 1)
        return changed

    def _count(self, pod: PodRecord | None, step: int) -> None:
        if pod is None:
            return
        if step > 0:
            self.workers.add(pod.observed.uid)
        else:
            self.workers.discard(pod.observed.uid)
        if pod.observed.holds_slice and pod.observed.resource is not None:
            place = (str(pod.observed.node), pod.observed.resource)
            self.holdings[place] += step
            if not self.holdings[place]:
                del self.holdings[place]

    def _drop_if_empty(self, entry: PoolEntry) -> None:
        pods = entry.pods or entry.gateway_pods or entry.fallback_pods or entry.jobs_pods or entry.strangers
        if not (entry.uid or entry.children or pods):
            self.pools.pop(entry.key, None)

    def _ingest_node(self, body: Mapping[str, Any], deleted: bool) -> set[Key]:
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        known_uid, known_version = self._node_uids.get(name, ("", 0))
        before = self.nodes.get(name)
        if deleted:
            if known_uid != uid:
                return set()
            del self.nodes[name], self._node_uids[name]
            return self._concerned(before, None)
        if uid == known_uid and version_of(body) <= known_version:
            return set()
        after = read_node(body)
        self._node_uids[name] = (uid, version_of(body))
        self.nodes[name] = after
        return set() if before == after else self._concerned(before, after)

    def _concerned(self, before: ObservedNode | None, after: ObservedNode | None) -> set[Key]:
        """Return the pools that a change of a node may concern: they wait, have a pod there, or use slices offered there."""
        offered = {resource for node in (before, after) if node is not None for resource in node.allocatable}
        name = (after or before or ObservedNode("", "")).name
        return {
            entry.key
            for entry in self.pools.values()
            if entry.uid
            and (
                not entry.satisfied
                or entry.resource is None
                or entry.resource in offered
                or any(pod.observed.node == name for pod in entry.pods.values())
                or any(pod.node == name for pod in entry.gateway_pods.values())
                or any(pod.node == name for pod in entry.jobs_pods.values())
            )
        }


def _ingest_pool(entry: PoolEntry, body: Mapping[str, Any], deleted: bool) -> bool:
    uid, version = body["metadata"]["uid"], version_of(body)
    if deleted:
        if entry.uid != uid:
            return False
        entry.uid, entry.version, entry.body, entry.deleting = "", 0, b"", False
        entry.failures = ()
        return True
    if entry.uid and version <= entry.version:
        return False
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    entry.scaled_by = scaled_by(body)
    fresh = entry.uid != uid
    if fresh:
        entry.failures, entry.satisfied, entry.looked_at = (), False, -1e9
        entry.account = entry.cost = None
    entry.uid, entry.version = _known_text(entry, uid), version
    entry.deleting = "deletionTimestamp" in metadata
    entry.body = pack({**body, "metadata": metadata}, "pool")
    return True


def _ingest_child(entry: PoolEntry, resource: Resource, body: Mapping[str, Any], deleted: bool, own: bool) -> bool:
    uid = body["metadata"]["uid"]
    known = entry.child(resource, body["metadata"]["name"])
    if deleted:
        if known is None or known.uid != uid:
            return False
        entry.children.remove(known)
        return True
    if known is not None and version_of(body) <= known.version:
        if own and version_of(body) == known.version:
            known.verified, known.body = True, None
        return False
    record = read_child(resource, body)
    record.owner = _known_text(entry, record.owner) if record.owner else None
    same = known is not None and known.uid == uid and known.fingerprint == record.fingerprint
    record.verified = own or (known is not None and known.verified and same)
    if not record.verified:
        keep_body(record, body)
    if known is None:
        entry.children.append(record)
        return True
    entry.children[entry.children.index(known)] = record
    return (
        known.fingerprint != record.fingerprint
        or known.facts != record.facts
        or known.terminating != record.terminating
        or known.uid != record.uid
    )


def _known_text(entry: PoolEntry, uid: str) -> str:
    """Return the copy of a pool's uid that its records already hold: one string instead of one per child."""
    return next((child.owner for child in entry.children if child.owner is not None and child.owner == uid), uid)
