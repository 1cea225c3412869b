"""What the cache keeps of an object: so little that a thousand pools with all their children fit in a few MiB. Pure."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise.api import labels
from slicewise.api.bounds import count, line, word
from slicewise.clients.resources import BUDGETS, CLAIMS, DEPLOYMENTS, REVISIONS, Resource
from slicewise.cluster.gateway_pods import GatewayRecord
from slicewise.cluster.jobs_pods import JobsRecord
from slicewise.cluster.load import LoadMeter
from slicewise.cluster.meter import Meter
from slicewise.cluster.strangers import Stranger
from slicewise.cost.account import Account
from slicewise.cost.published import Published
from slicewise.objects.fingerprint import fingerprint
from slicewise.objects.pods import PodRecord, shared
from slicewise.objects.stored_data import is_whole
from slicewise.pool.observed import ApplyFailure, ObservedBudget, ObservedDeployment, ObservedRevision, References
from slicewise.pool.outcome import Scaled
from slicewise.pool.rollout.times import read_time
from slicewise.telemetry.pools import PoolShown

PENDING: Final = "Pending"
"""Phase of a claim that has no volume yet."""
_WINDOW: Final = 32 * 1024
"""Bytes that deflate looks back."""
_MOST_SORTS: Final = 255
_HASH: Final = re.compile(r"[0-9a-f]{1,16}")
_SORTS: Final[dict[str, int]] = {}
_SAMPLES: Final[list[bytes]] = []
"""For each sort of value the first one packed: the dictionary of the others' compression. Never changed once it is there."""


@dataclass(slots=True, eq=False)
class Child:
    """A child of a pool, or an object that looks like one."""

    resource: Resource
    name: str
    uid: str
    owner: str | None
    """Uid of its controller."""
    of_pool: bool
    """Its controller is an InferencePool: this one, or a former one of the same name."""
    version: int
    applied: int | None
    """Annotation `slicewise.dev/applied`, as a number; None if it is not one."""
    fingerprint: int
    terminating: bool
    verified: bool = False
    """It was compared with the manifest that `applied` is the hash of, and holds all of it."""
    body: bytes | None = None
    """The object, packed; only while not verified."""
    facts: ObservedDeployment | ObservedBudget | bytes | str | None = None
    """Deployment: what decisions see of it; one without a revision is the gateway's or the fallback's. ControllerRevision: number and data,
    packed. PersistentVolumeClaim: its phase. PodDisruptionBudget: what decisions see of it; None for the gateway's."""


@dataclass(slots=True, eq=False)
class PoolEntry:
    """All that is known about the pool of one name in one namespace, and about what carries its label."""

    namespace: str
    name: str
    uid: str = ""
    """Empty while there is no such pool (its children may outlive it for a moment)."""
    version: int = 0
    deleting: bool = False
    body: bytes = b""
    """The pool, packed, without managed fields."""
    resource: str | None = None
    """Slice that its workers take; None: CPU slices, or not known yet."""
    satisfied: bool = False
    """As the latest plan had it: every worker is there and serves."""
    reason: str = "Unknown"
    """Reason of `Ready`, as the latest plan had it."""
    shown: PoolShown | None = None
    """What metrics show of the latest plan's status."""
    children: list[Child] = field(default_factory=list)
    pods: dict[str, PodRecord] = field(default_factory=dict)
    gateway_pods: dict[str, GatewayRecord] = field(default_factory=dict)
    fallback_pods: dict[str, PodRecord] = field(default_factory=dict)
    jobs_pods: dict[str, JobsRecord] = field(default_factory=dict)
    strangers: dict[str, Stranger] = field(default_factory=dict)
    """Uid → ready pod that its budgets count beside its workers."""
    meter: Meter | None = None
    """Only while a canary is judged."""
    load: LoadMeter | None = None
    """Only while the spec has autoscaling."""
    account: Account | None = None
    """Only while costs are counted."""
    cost: Published | None = None
    """What was last published of it."""
    scaled_by: str = ""
    """Field manager of `spec.replicas` that wrote it through the scale subresource."""
    scaled: Scaled | None = None
    """What metrics show of scaling by load, as the latest plan had it."""
    gateway_version: str | None = None
    """Version of the configuration that they are to run, as the latest plan had it."""
    failures: tuple[ApplyFailure, ...] = ()
    references: References = field(default_factory=References)
    looked_at: float = -1e9
    """Monotonic time at which references were last refreshed."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    def child(self, resource: Resource, name: str) -> Child | None:
        """Return the child of that kind and name."""
        return next((c for c in self.children if c.resource is resource and c.name == name), None)

    def stored(self) -> dict[str, Any]:
        """Return the pool as an object of the API server."""
        stored: dict[str, Any] = unpack(self.body)
        return stored


def pack(value: Any, sort: str) -> bytes:
    """Return a JSON value in little space: as what tells it from the first of its sort, so in some 200 bytes."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    index = _SORTS.get(sort)
    if index is None:
        if len(_SAMPLES) >= _MOST_SORTS:
            raise ValueError(f"too many sorts of values to pack: {sort}")
        index = _SORTS[sort] = len(_SAMPLES)
        _SAMPLES.append(text[:_WINDOW])
    packer = zlib.compressobj(1, zdict=_SAMPLES[index])
    return bytes([index]) + packer.compress(text) + packer.flush()


def unpack(packed: bytes) -> Any:
    """Undo `pack`."""
    return json.loads(zlib.decompressobj(zdict=_SAMPLES[packed[0]]).decompress(packed[1:]))


def hash_number(text: str | None) -> int | None:
    """Return a hash in hexadecimal digits as a number, which takes half the memory; None when it is no such hash."""
    return int(text, 16) if text and _HASH.fullmatch(text) else None


def version_of(body: Mapping[str, Any]) -> int:
    """Return the resourceVersion as a number: of two versions of one kind, the greater is the newer (Kubernetes 1.35)."""
    return int(body["metadata"].get("resourceVersion") or 0)


def scaled_by(body: Mapping[str, Any]) -> str:
    """Return the field manager that wrote `spec.replicas` of a pool through the scale subresource, as an autoscaler does; else ""."""
    for entry in body["metadata"].get("managedFields") or ():
        owns = "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        if owns and entry.get("subresource") == "scale":
            return shared(line(entry.get("manager"), 64) or "another")
    return ""


def pool_of(body: Mapping[str, Any]) -> str | None:
    """Return the name of the pool that a child belongs to by its label, or else by its owner reference."""
    name = (body["metadata"].get("labels") or {}).get(labels.LABEL_POOL)
    if name:
        return str(name)
    owner = controller_of(body) or {}
    return str(owner["name"]) if is_pool(owner) else None


def controller_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the owner reference that is the controller, if there is one."""
    return next((o for o in body["metadata"].get("ownerReferences") or () if o.get("controller")), None)


def is_pool(owner: Mapping[str, Any]) -> bool:
    """Whether an owner reference names one of our pools (not the kind of the same name of another group)."""
    return str(owner.get("apiVersion", "")).startswith(f"{labels.GROUP}/") and owner.get("kind") == labels.KIND


def read_child(resource: Resource, body: Mapping[str, Any]) -> Child:
    """Return the record of a child, not verified, without its body."""
    metadata = body["metadata"]
    owner = controller_of(body)
    return Child(
        resource=resource,
        name=metadata["name"],
        uid=metadata["uid"],
        owner=str(owner["uid"]) if owner else None,
        of_pool=owner is not None and is_pool(owner),
        version=version_of(body),
        applied=hash_number((metadata.get("annotations") or {}).get(labels.ANNOTATION_APPLIED)),
        fingerprint=fingerprint(body),
        terminating="deletionTimestamp" in metadata,
        facts=_facts(resource, body),
    )


def keep_body(child: Child, body: Mapping[str, Any]) -> None:
    """Keep the body of a child that is to be compared with its manifest."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    rest = {key: value for key, value in body.items() if key not in {"status", "metadata"}}
    child.body = pack({**rest, "metadata": metadata}, child.resource.kind)


def read_revision(child: Child) -> ObservedRevision | None:
    """Return the ControllerRevision that a record stands for; None for one that does not hold what ours hold."""
    if not isinstance(child.facts, bytes):
        return None
    stored = unpack(child.facts)
    return ObservedRevision(name=child.name, hash=stored["hash"], number=stored["number"], data=stored["data"])


def claim_phase(body: Mapping[str, Any]) -> str:
    """Return the phase of a PersistentVolumeClaim; `Pending` until the API server says another."""
    return shared(word((body.get("status") or {}).get("phase")) or PENDING)


def _facts(resource: Resource, body: Mapping[str, Any]) -> ObservedDeployment | ObservedBudget | bytes | str | None:
    marks: Mapping[str, str] = body["metadata"].get("labels") or {}
    if resource is CLAIMS:
        return claim_phase(body)
    if resource is REVISIONS:
        name_hash, data = marks.get(labels.LABEL_REVISION, ""), body.get("data")
        if not is_whole(data):
            return None
        return pack({"hash": name_hash, "number": count(body.get("revision")) or 0, "data": data}, "revision")
    if resource is BUDGETS:
        return _budget(body)
    if resource is not DEPLOYMENTS:
        return None
    conditions = (body.get("status") or {}).get("conditions") or ()
    failed = (c for c in conditions if c.get("type") == "ReplicaFailure" and c.get("status") == "True")
    replicas = (body.get("spec") or {}).get("replicas")
    return ObservedDeployment(
        name=body["metadata"]["name"],
        revision=shared(marks.get(labels.LABEL_REVISION, "")),
        zone=shared(marks.get(labels.LABEL_ZONE, "")),
        replicas=1 if replicas is None else replicas,
        failure=next((line(c.get("message")) for c in failed), None),
        ready=_ready_of_fallback(marks, body),
    )


def _ready_of_fallback(marks: Mapping[str, str], body: Mapping[str, Any]) -> int:
    """Its ready pods. Not of other Deployments: each of their pods is in the cache, and a change of the number would wake a pass more."""
    if marks.get(labels.LABEL_COMPONENT) != labels.ROLE_FALLBACK:
        return 0
    return count((body.get("status") or {}).get("readyReplicas")) or 0


def _budget(body: Mapping[str, Any]) -> ObservedBudget | None:
    """What decisions see of a budget of workers; None for the gateway's, and for one that was changed into another kind of budget."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    zone, least = (metadata.get("labels") or {}).get(labels.LABEL_ZONE), count(spec.get("minAvailable"))
    if zone is None or least is None:
        return None
    held = read_time((metadata.get("annotations") or {}).get(labels.ANNOTATION_HELD))
    seen = (count(status.get("observedGeneration")) or 0) >= (count(metadata.get("generation")) or 0)
    return ObservedBudget(shared(zone), least, held, seen, count(status.get("currentHealthy")) or 0)
