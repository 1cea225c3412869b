"""ObservedPool: everything a decision about one pool may look at, gathered once per pass.

Written by `controller/observe.py`. Frozen; no I/O, no clock. What could not be read is `None` (unknown), never 0 or an empty list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.autoscaling.window import Load
from slicewise.cost.published import Published
from slicewise.manifests.installation import Installation
from slicewise.pool.observed_jobs import ObservedJobs
from slicewise.pool.rollout.verdict_record import Measured
from slicewise.pool.said import ModelNeeds, WorkerInfo


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node, but for the cluster's own (`node.kubernetes.io/…`), which `cordoned` and `ready` say."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """A node as far as slices go."""

    name: str
    zone: str  # value of the zone label; `""` where the node carries none
    allocatable: Mapping[str, int] = field(default_factory=dict)
    """Extended resource name → slices the kubelet offers (healthy devices only)."""
    slice_memory: Mapping[str, Bytes] = field(default_factory=dict)
    """Extended resource name → memory of one slice in bytes; absent where no label says."""
    cordoned: bool = False
    ready: bool = True
    tainted: bool = False
    """Carries a NoSchedule or NoExecute taint that workers do not tolerate; of the pool's workers in what `placed_nodes` returns."""
    excluded: bool = False
    """The pool's selector or node affinity keeps its workers away; only in what `placed_nodes` returns."""
    taints: tuple[Taint, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether a new worker could be placed here."""
        return self.ready and not self.cordoned and not self.tainted and not self.excluded


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """What a pod's `slicewise-fetch` init container says of the weights."""

    bytes_done: int = 0
    bytes_total: int | None = None
    reason: str | None = None
    """CamelCase cause of the last failure (`DigestMismatch`, `SourceUnreachable`, …); None while it works."""
    message: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """One worker pod of the pool; its node is None until the scheduler has bound it. Times in seconds since the epoch."""

    name: str
    uid: str
    revision: str
    zone: str
    node: str | None = None
    phase: str = "Pending"
    ready: bool = False
    terminating: bool = False
    created_at: float = 0.0
    resource: str | None = None
    """Extended resource of which it holds one; None for CPU slices."""
    device_unhealthy: bool = False
    waiting_reason: str | None = None
    """`Unschedulable`, `ImagePullBackOff`, `CrashLoopBackOff`, …; None when nothing waits."""
    waiting_message: str = ""
    restarts: int = 0
    ended_reason: str | None = None
    """CamelCase cause that the worker gave when it last ended (`DigestMismatch`, `ModelTooLarge`, …); None if it never did."""
    ended_message: str = ""
    """Its words when it last ended; kept while it is started again."""
    refused_needs: ModelNeeds | None = None
    """What its model takes, where that was too much for its slice when it last ended."""
    fetch: FetchProgress | None = None
    worker: WorkerInfo | None = None
    started_in: float | None = None
    """Seconds from its place on a node until it served for the first time; None where it has not, or it was restarted before."""
    node_lost: bool = False  # it was ready, and its node is deleted or does not answer any more
    requests: int | None = None
    """That run or wait in it; None where that is not known, as of pools without autoscaling."""

    @property
    def holds_slice(self) -> bool:
        """Whether the kubelet still counts a device for this pod."""
        return self.node is not None and self.phase in {"Pending", "Running"}

    @property
    def serving(self) -> bool:
        """Whether it takes requests and will go on doing so.

        One whose device is called unhealthy does while it is ready: the report may be wrong, the requests are not.
        """
        return self.ready and not self.terminating and self.phase == "Running"

    @property
    def unplaced(self) -> bool:
        """Whether the scheduler finds no node for it."""
        return self.waiting_reason == "Unschedulable" and not self.terminating

    @property
    def refusal(self) -> str:
        """What the scheduler says of it while it is `unplaced`."""
        return f"{self.name} fits no node: {self.waiting_message}"

    @property
    def suspect(self) -> bool:
        """Whether it serves on a device that is called unhealthy."""
        return self.serving and self.device_unhealthy


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """What the agent of one gateway pod says."""

    running: str | None
    """Version of the configuration that Envoy has all of; None before it has one."""
    wanted: str | None
    """Version that the agent last wrote."""
    programmed: bool
    reason: str
    message: str
    keyed: bool = False
    """Whether it lets in tenants by their keys."""
    tenants: int | None = None
    """How many it lets in; None where it does not say."""
    complaints: tuple[str, ...] = ()
    """What it could not use of the tenants' keys: names of tenants and why, never a key."""
    redis: bool | None = None
    """Whether the edge beside it has the address of a Redis; None where it was not asked or does not say."""

    @property
    def without_keys(self) -> bool:
        """Whether it has no key at all, good or bad, and so refuses every request. False where it does not say how many it has."""
        return self.keyed and self.tenants == 0 and not self.complaints


@dataclass(frozen=True, slots=True)
class ObservedGatewayPod:
    """One pod of the pool's gateway."""

    name: str
    ready: bool = False
    terminating: bool = False
    started_with: str = ""
    """Version of what it was started with, as its annotation says."""
    waiting_reason: str | None = None
    """`Unschedulable`, `ImagePullBackOff`, `CrashLoopBackOff`, …; None when nothing waits."""
    waiting_message: str = ""
    info: GatewayInfo | None = None
    """What its agent last said; None before it was asked, or while it does not answer."""


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """The Deployment of one (revision, zone)."""

    name: str
    revision: str
    zone: str
    replicas: int  # `spec.replicas`: what was last asked for
    failure: str | None = None
    """Message of `ReplicaFailure` (quota exceeded, forbidden by admission, …)."""
    ready: int = 0
    """Of the CPU fallback's: its pods that are ready. 0 of any other, whose pods are observed one by one."""


@dataclass(frozen=True, slots=True)
class ObservedBudget:
    """The disruption budget of one zone's workers."""

    zone: str
    least: int
    """`spec.minAvailable`."""
    held_since: float | None = None
    """Since when it is raised for a scale-down, seconds since the epoch; None where it is not."""
    seen: bool = False
    """Whether the disruption controller has seen this `spec`. Until then the API server refuses evictions."""
    healthy: int = 0
    """Pods that it counts as ready; those whose eviction was allowed are not among them."""
    strangers: int = 0
    """Ready pods that it counts, by their labels, and that are none of the pool's workers."""


@dataclass(frozen=True, slots=True)
class ObservedRevision:
    """A stored ControllerRevision."""

    name: str
    hash: str
    number: int
    """`.revision`: rises by one with each revision, so the newest is the greatest."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """`.data` exactly as stored: `{"template": PodTemplateSpec, "resource": str | None, "inputs": {…}}`."""


@dataclass(frozen=True, slots=True)
class ApplyFailure:
    """A child that the API server refused, from the latest attempt."""

    kind: str
    name: str
    code: int
    message: str
    """The API server's own sentence (quota exceeded, forbidden, invalid, owned by another controller …)."""


@dataclass(frozen=True, slots=True)
class PendingClaim:
    """A claim of the pool without a volume, and the Event that tells most of why."""

    name: str
    reason: str
    """`ProvisioningFailed`, `FailedBinding`, `ExternalProvisioning`, …"""
    message: str
    overdue: bool = False
    """Its provisioner has been silent for minutes."""


@dataclass(frozen=True, slots=True)
class References:
    """Objects outside the pool that its spec names. True/False: there or missing; absent: not looked at."""

    claims: Mapping[str, bool] = field(default_factory=dict)
    waiting: bool = False
    """Whether one of those claims has no volume."""
    pending: PendingClaim | None = None
    """Of the claims that have no volume, the operator's own included, the first of which the cluster says why. One that only waits
    for its first pod is none."""
    namespace_terminating: bool = False


@dataclass(frozen=True, slots=True)
class ObservedPool:
    """The whole input of a plan besides the pool itself."""

    pods: tuple[ObservedPod, ...] = ()
    gateway_pods: tuple[ObservedGatewayPod, ...] = ()
    gateway_failure: str | None = None
    """Message of `ReplicaFailure` of the gateway's Deployment."""
    deployments: tuple[ObservedDeployment, ...] = ()
    fallback: ObservedDeployment | None = None
    """The Deployment of the CPU fallback; it is not among `deployments`, as its pods are not among `pods`."""
    fallback_pods: tuple[ObservedPod, ...] = ()
    jobs: ObservedJobs = field(default_factory=ObservedJobs)
    revisions: tuple[ObservedRevision, ...] = ()
    budgets: tuple[ObservedBudget, ...] = ()
    nodes: tuple[ObservedNode, ...] = ()
    held_by_others: Mapping[str, Mapping[str, int]] | None = field(default_factory=dict)
    """Node name → extended resource → slices held by pods that are not this pool's. None: could not be read."""
    sees_all_namespaces: bool = True
    """Whether those pods were looked for in all namespaces; else uncounted pods may hold slices."""
    measured: Measured = field(default_factory=Measured)
    """What the gateway counted for the canary and for stable since `status` was written."""
    load: Load = field(default_factory=Load)
    """Requests that run or wait, of late; only where the spec has autoscaling."""
    cost: Published | None = None
    """What was last published of the pool's cost; None before that, and where costs are not counted."""
    scaled_by: str = ""
    """Field manager that last wrote `spec.replicas` through the scale subresource; empty where none did, or another wrote it since."""
    references: References = References()
    apply_failures: tuple[ApplyFailure, ...] = ()
    status: PoolStatus = field(default_factory=PoolStatus)
    """The pool's status, as far as what is stored is understood."""
    installation: Installation = field(default_factory=Installation)

    def with_budgets(self, floors: Mapping[str, int]) -> list[tuple[str, int, ObservedBudget | None]]:
        """Return each zone of `floors` with its floor and its budget as it is; None where it has none."""
        known = {budget.zone: budget for budget in self.budgets}
        return [(zone, floor, known.get(zone)) for zone, floor in floors.items()]
