"""A cluster in a few lines, for tests of the plan: Deployments, a scheduler that hands out slices, workers that get ready.

It does what Kubernetes promises and no more: a Deployment's pods appear later, a pod holds its slice until it is gone, a
Deployment that shrinks gives up its unplaced and unready pods first. After every step it checks what must never be.
`counting.py` is its gateway.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agreement import contradictions
from builders import DIGEST, MIG, three_zones
from counting import CountingGateway
from declared import in_zone, programmed, read_budgets, seen_budgets, undeclared
from mishaps import Mishaps
from passes import Passes
from promises import Owed, check_emptiest, check_floor, check_requests_first, check_room_made, left_over, reachable

from slicewise.api.labels import LABEL_REVISION, LABEL_ZONE
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.pool.observed import (
    FetchProgress,
    ObservedBudget,
    ObservedDeployment,
    ObservedGatewayPod,
    ObservedNode,
    ObservedPod,
    ObservedPool,
    ObservedRevision,
)
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.rollout.verdict_record import Measured

OTHER = {"source": "https://models.example.com/b.gguf", "digest": DIGEST.replace("0", "f")}


def changed(pool: InferencePool, **spec: object) -> InferencePool:
    body = pool.model_dump(by_alias=True, exclude_none=True, mode="json")
    body["spec"].update(spec)
    body["metadata"]["generation"] += 1
    return InferencePool.model_validate(body)


@dataclass
class Simulation(Mishaps):
    """One pool on a few nodes."""

    pool: InferencePool
    nodes: dict[str, ObservedNode] = field(default_factory=lambda: {node.name: node for node in three_zones()})
    others: dict[str, int] = field(default_factory=dict)
    """Node → slices that somebody else holds."""
    apart: bool = False
    """Whether a node takes one worker of the pool, as with a required anti-affinity, or where CPU is short beside slices."""
    crowded: set[str] = field(default_factory=set)
    """Nodes that have slices and take nothing more all the same."""
    dead: set[str] = field(default_factory=set)
    """Pods whose device is dead in fact: they never get ready again."""
    broken: set[str] = field(default_factory=set)
    """Revisions whose workers never get ready."""
    gateway: CountingGateway | None = None
    """Counts requests; without one a canary is judged by its readiness."""
    random: random.Random = field(default_factory=lambda: random.Random(0))
    now: float = 1_000_000.0
    status: dict[str, Any] = field(default_factory=dict)
    decided: Mapping[str, Any] = field(default_factory=dict)
    """The status of the last pass, whether it was written or not."""
    pods: dict[str, ObservedPod] = field(default_factory=dict)
    deployments: dict[str, ObservedDeployment] = field(default_factory=dict)
    revisions: dict[str, ObservedRevision] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    """Zone → since when its budget is raised for a scale-down."""
    gateway_pods: tuple[ObservedGatewayPod, ...] = ()
    """They come up and take in their configuration between two passes."""
    events: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    counter: int = 0
    crashes: float = 0.0
    """How often the operator ends before it has written the status."""
    owed: Owed = field(default_factory=Owed)
    passes: Passes = field(default_factory=Passes)
    judged: tuple[object, ...] = ()
    """Status and workers that were held against one another last."""
    untouched: tuple[object, ...] = ()
    """Nodes and workers as the last step left them, so that a mishap which a test brings about is seen."""
    loads: tuple[int | None, ...] = ()
    """Requests of a worker: one of them at random. Empty: none says how many."""
    linger: float = 0.0
    """How often a terminating worker stays on for another second although it could be gone."""

    def observed(self) -> ObservedPool:
        status = PoolStatus.read(self.status)
        return ObservedPool(
            pods=tuple(self.pods.values()),
            gateway_pods=self.gateway_pods if self.gateway is None else self.gateway.pods(self.gateway_pods),
            deployments=tuple(self.deployments.values()),
            revisions=tuple(self.revisions.values()),
            budgets=tuple(self.observed_budgets()),
            nodes=tuple(self.nodes.values()),
            held_by_others={name: {MIG: count} for name, count in self.others.items()},
            status=status,
            measured=Measured() if self.gateway is None else self.gateway.measured(status),
        )

    def observed_budgets(self) -> list[ObservedBudget]:
        """The budgets, as a disruption controller has seen them that loses no time."""
        return seen_budgets(self.budgets, self.held, self.pods.values())

    def operate(self) -> PoolPlan:
        if self.untouched != self._touchable():
            self.owed = Owed()
        before, served, standing = self.ready(), self.by_revision(), tuple(self.pods.values())
        observed = self.observed()
        plan = self.passes.plan(self.pool, observed, self.now)
        if (plan.status, observed.pods) != self.judged:
            told = contradictions(plan.status, observed.pods, left_over(self.nodes.values(), self.free))
            assert not told, "\n".join(told)
            self.judged = plan.status, observed.pods
        if self.gateway is not None and plan.gateway_version is not None:
            self.gateway.told(plan.gateway_version, plan.children or ())
        self._apply(plan)
        self.decided = plan.status
        plain = {zone: least for zone, least in self.budgets.items() if zone not in self.held}
        check_floor(self.decided, plain, before, self.ready())
        check_room_made(self.decided, standing, self.pods.values(), self.nodes, self.others)
        self.owed.passed(self._reachable(), before.total(), self.ready().total())
        check_emptiest(self.decided, standing, self.pods.values(), self.nodes.values())
        if self.gateway is not None:
            asking = {item.revision for item in self.deployments.values() if item.replicas}
            check_requests_first(self.gateway.weights, asking, served, self.by_revision())
        self.untouched = self._touchable()
        return plan

    def _reachable(self) -> int:
        return reachable(self.decided, self.nodes.values(), self.others)

    def _touchable(self) -> tuple[object, ...]:
        """What only a test changes between two steps: nodes, what others hold, and workers."""
        return (dict(self.nodes), dict(self.others), dict(self.pods), set(self.crowded), self.apart)

    def _apply(self, plan: PoolPlan) -> None:
        if plan.children is not None:
            wanted = {(child["kind"], child["metadata"]["name"]): child for child in plan.children}
            workers = {name: child for (kind, name), child in wanted.items() if kind == "Deployment" and in_zone(child)}
            self._deployments(workers)
            self.gateway_pods = programmed(self.pool.metadata.name, wanted)
            self.budgets, self.held = read_budgets(wanted.values())
            stored = {name: child for (kind, name), child in wanted.items() if kind == "ControllerRevision"}
            for name, child in stored.items():
                revision = ObservedRevision(
                    name, child["metadata"]["labels"][LABEL_REVISION], child["revision"], child["data"]
                )
                assert self.revisions.get(name, revision) == revision, "a stored revision never changes"
                self.revisions[name] = revision
            self.revisions = {name: item for name, item in self.revisions.items() if name in stored}
        for deletion in plan.deletions:
            self.pods = {name: pod for name, pod in self.pods.items() if pod.uid != deletion.uid}
        if plan.status != self.status:
            assert undeclared(plan.status) == []
        if self.random.random() < self.crashes:
            self.passes = Passes()  # the operator ends between its last child and the status, and another begins
            return
        self.status = dict(plan.status)
        self.events += [event.reason for event in plan.events]
        self.phases.append(plan.status["rollout"]["phase"])

    def _deployments(self, wanted: dict[str, dict[str, Any]]) -> None:
        for name in set(self.deployments) - set(wanted):
            self._shrink(self.deployments.pop(name), 0)
        for name, child in wanted.items():
            labels = child["metadata"]["labels"]
            item = ObservedDeployment(name, labels[LABEL_REVISION], labels[LABEL_ZONE], child["spec"]["replicas"])
            self.deployments[name] = item
            self._shrink(item, item.replicas)

    def _mine(self, item: ObservedDeployment) -> list[ObservedPod]:
        return [
            pod
            for pod in self.pods.values()
            if (pod.revision, pod.zone) == (item.revision, item.zone)
            and not pod.terminating
            and pod.phase in {"Pending", "Running"}
        ]

    def _shrink(self, item: ObservedDeployment, replicas: int) -> None:
        order = sorted(self._mine(item), key=lambda pod: (pod.node is not None, pod.ready, -pod.created_at))
        for pod in order[: max(0, len(order) - replicas)]:
            if pod.node is None:
                del self.pods[pod.name]
            else:
                self.pods[pod.name] = replace(pod, terminating=True)

    def tick(self) -> None:
        """One thing happens in the cluster, at random: a pod appears, is placed, gets ready, or is gone."""
        self.now += 1
        if self.gateway is not None:
            self.gateway.pass_second(self.by_revision())
        moves = [self._create, self._schedule, self._start, self._finish]
        self.random.shuffle(moves)
        self._refuse()
        for move in moves:
            if move():
                break
        self.owed.lasts(self._reachable(), self.ready().total())
        self.untouched = self._touchable()
        self.check()

    def _create(self) -> bool:
        for item in self.deployments.values():
            if len(self._mine(item)) < item.replicas:
                self.counter += 1
                name = f"{item.name}-{self.counter}"
                self.pods[name] = ObservedPod(
                    name, f"uid-{name}", item.revision, item.zone, created_at=self.now, resource=MIG
                )
                return True
        return False

    def free(self, node: ObservedNode) -> int:
        """What the scheduler has left there: it counts what pods ask for, whatever the health of their devices."""
        held = sum(1 for pod in self.pods.values() if pod.node == node.name and pod.holds_slice)
        return node.allocatable.get(MIG, 0) - self.others.get(node.name, 0) - held

    def _schedule(self) -> bool:
        for pod in self.pods.values():
            fits = self._fitting(pod)
            if pod.node is None and pod.phase == "Pending" and fits:
                placed = replace(pod, node=fits[0].name, waiting_reason=None, waiting_message="", fetch=FetchProgress())
                self.pods[pod.name] = placed
                return True
        return False

    def _refuse(self) -> None:
        """What the scheduler says of pods that fit nowhere."""
        for pod in self.pods.values():
            if pod.node is None and pod.phase == "Pending" and not self._fitting(pod):
                lacks = (
                    "node(s) didn't match pod anti-affinity rules"
                    if self.apart or self.crowded
                    else f"Insufficient {MIG}"
                )
                words = f"0/3 nodes are available: 3 {lacks}."
                self.pods[pod.name] = replace(pod, waiting_reason="Unschedulable", waiting_message=words)

    def _fitting(self, pod: ObservedPod) -> list[ObservedNode]:
        taken = {other.node for other in self.pods.values() if other.holds_slice} if self.apart else set()
        full = taken | self.crowded
        nodes = [node for node in self.nodes.values() if node.zone == pod.zone and node.name not in full]
        return [node for node in nodes if node.usable and self.free(node) > 0]

    def _start(self) -> bool:
        for pod in self.pods.values():
            able = pod.node and pod.revision not in self.broken and pod.name not in self.dead
            if able and not pod.ready and not pod.terminating and pod.phase in {"Pending", "Running"}:
                self.pods[pod.name] = self.up(pod)
                return True
        return False

    def _finish(self) -> bool:
        if self.linger and self.random.random() < self.linger:
            return False
        for pod in self.pods.values():
            if pod.terminating:
                del self.pods[pod.name]
                return True
        return False

    def ready(self) -> Counter[str]:
        """Zone → workers that serve."""
        return Counter(pod.zone for pod in self.pods.values() if pod.serving)

    def by_revision(self) -> Counter[str]:
        """Revision → workers that serve."""
        return Counter(pod.revision for pod in self.pods.values() if pod.serving)

    def check(self) -> None:
        for node in self.nodes.values():
            dead = sum(1 for pod in self.pods.values() if pod.node == node.name and pod.device_unhealthy)
            assert self.free(node) + dead >= 0 or not node.usable, f"{node.name} has more workers than slices"

    def settle(self, passes: int = 400) -> PoolPlan:
        for _ in range(passes):
            self.operate()
            quiet = (dict(self.pods), dict(self.deployments), self.status)
            self.tick()
            if quiet == (dict(self.pods), dict(self.deployments), self.status):
                again = self.operate()
                waits = again.requeue_after is None or again.requeue_after > 1
                if waits and self.status == quiet[2] and dict(self.deployments) == quiet[1]:
                    return again
        raise AssertionError(f"did not settle: {self.condition('Ready')}, {self.status.get('rollout')}")

    def condition(self, kind: str) -> dict[str, Any]:
        return next((item for item in self.status.get("conditions", []) if item["type"] == kind), {})
