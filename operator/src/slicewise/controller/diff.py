"""The difference between the children that a plan wants and those that exist: one change per child. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from slicewise.api import labels
from slicewise.clients.resources import Resource, resource_of
from slicewise.cluster.records import Child, PoolEntry, hash_number, unpack
from slicewise.manifests.children import PRUNED_KINDS
from slicewise.objects.fingerprint import contains, manifest_hash

CREATE_ONLY: Final = "1"
"""As `resourceVersion` of an apply it matches no object that exists, so the API server creates or answers 409."""

Action = Literal["keep", "create", "update", "wait", "foreign"]


@dataclass(frozen=True, slots=True)
class Change:
    """One child of a plan, and what has to be done about it."""

    resource: Resource
    manifest: Mapping[str, Any]
    """Complete but for the guard: owner reference and annotation are in it."""
    action: Action
    record: Child | None

    @property
    def name(self) -> str:
        """Name of the child."""
        return str(self.manifest["metadata"]["name"])

    @property
    def writes(self) -> bool:
        """Whether the change is a write."""
        return self.action in {"create", "update"}

    def body(self) -> dict[str, Any]:
        """Return the manifest with the guard: only where nothing is yet, or only the object that was looked at."""
        guard = {"uid": self.record.uid} if self.record is not None else {"resourceVersion": CREATE_ONLY}
        return {**self.manifest, "metadata": {**self.manifest["metadata"], **guard}}


def compare(entry: PoolEntry, children: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return one change per child, in the order of the plan. Marks records that hold all they should as verified."""
    return [_compare(entry, resource_of(manifest), manifest) for manifest in children]


def superfluous(entry: PoolEntry, children: Sequence[Mapping[str, Any]]) -> list[Child]:
    """Return the children of the pool that the plan no longer has, last applied first. Only what its uid owns.

    Only of kinds that may go: a claim that is no longer planned may hold the only copy of the weights.
    """
    wanted = {(resource_of(manifest), manifest["metadata"]["name"]) for manifest in children}
    return [
        child
        for child in entry.children
        if child.owner == entry.uid
        and not child.terminating
        and (child.resource.api_version, child.resource.kind) in PRUNED_KINDS
        and (child.resource, child.name) not in wanted
    ]


def owner_reference(entry: PoolEntry) -> dict[str, Any]:
    """Return the reference that makes the pool the controller of a child.

    `blockOwnerDeletion`: a foreground deletion (Argo CD's default) is over when the workers are gone and the slices free.
    """
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "name": entry.name,
        "uid": entry.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def complete(entry: PoolEntry, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its namespace, the owner reference, and the hash of all that as an annotation."""
    metadata = {"namespace": entry.namespace, **manifest["metadata"], "ownerReferences": [owner_reference(entry)]}
    digest = manifest_hash({**manifest, "metadata": metadata})
    annotations = {**(metadata.get("annotations") or {}), labels.ANNOTATION_APPLIED: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _compare(entry: PoolEntry, resource: Resource, manifest: Mapping[str, Any]) -> Change:
    desired = complete(entry, manifest)
    record = entry.child(resource, desired["metadata"]["name"])
    return Change(resource, desired, _action(entry, record, desired), record)


def _action(entry: PoolEntry, record: Child | None, desired: Mapping[str, Any]) -> Action:
    if record is None:
        return "create"
    if record.terminating or (record.of_pool and record.owner != entry.uid):
        return "wait"  # left behind by a former pool of that name: the garbage collector is about to take it
    if record.owner != entry.uid:
        return "foreign"
    if record.applied != hash_number(desired["metadata"]["annotations"][labels.ANNOTATION_APPLIED]):
        return "update"
    if not record.verified and record.body is not None and contains(unpack(record.body), desired):
        record.verified, record.body = True, None
    return "keep" if record.verified else "update"
