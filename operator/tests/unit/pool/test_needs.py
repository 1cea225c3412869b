"""What workers have measured of a model decides which slices its pool takes, and whether it takes any."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from builders import make_node, make_observed, make_pod, make_pool

from slicewise.api.labels import LABEL_REVISION
from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.pool.observed import ObservedNode, ObservedPod, ObservedRevision
from slicewise.pool.plan import plan_pool
from slicewise.pool.said import ModelNeeds, WorkerInfo, read_needs

MIB, GIB = 1 << 20, 1 << 30
SIZES = {"mig-1g": 5 * GIB, "mig-2g": 10 * GIB, "mig-3g": 20 * GIB}
SMALL, MIDDLE, LARGE = (f"nvidia.com/{name}" for name in SIZES)


def needs(weights: float, cache: float = 1.5, buffers: float = 0.3) -> ModelNeeds:
    parts = [int(part * GIB) for part in (weights, cache, buffers)]
    return ModelNeeds(*parts, sum(parts))


def nodes(*names: str) -> tuple[ObservedNode, ...]:
    """Nodes of one zone, each with slices of one size."""
    return tuple(
        replace(
            make_node(f"node-{name}", "a", 4, f"nvidia.com/{name}"),
            slice_memory={f"nvidia.com/{name}": Bytes(SIZES[name])},
        )
        for name in names
    )


@dataclass
class Cluster:
    """A pool's passes over one zone, whose workers say at once what `model` needs where their slice is too small, or serve."""

    model: ModelNeeds
    nodes: tuple[ObservedNode, ...] = field(default_factory=lambda: nodes(*SIZES))
    status: dict[str, Any] = field(default_factory=dict)
    revisions: dict[str, ObservedRevision] = field(default_factory=dict)
    pods: dict[str, ObservedPod] = field(default_factory=dict)
    now: float = 1e6

    def settle(self, spec: dict[str, Any]) -> None:
        for _ in range(40):
            self._pass(spec)

    def _pass(self, spec: dict[str, Any]) -> None:
        self.now += 60
        pool = make_pool(replicas=1, engine={"contextTokens": 8192}, **spec)
        kept, standing = tuple(self.revisions.values()), tuple(self.pods.values())
        seen = make_observed(nodes=self.nodes, status=self.status, revisions=kept, pods=standing, held_by_others={})
        plan = plan_pool(pool, seen, self.now)
        self.status = dict(plan.status)
        if plan.children is None:
            return
        for child in plan.children:
            name = child["metadata"]["labels"].get(LABEL_REVISION, "")
            if child["kind"] == "ControllerRevision":
                self.revisions[name] = ObservedRevision(
                    child["metadata"]["name"], name, child["revision"], child["data"]
                )
            elif child["kind"] == "Deployment" and name:
                self._workers(name, child["spec"]["replicas"])

    def _workers(self, revision: str, replicas: int) -> None:
        mine = [pod.name for pod in self.pods.values() if pod.revision == revision]
        for name in mine[replicas:]:
            del self.pods[name]
        for number in range(len(mine), replicas):
            resource = self.revisions[revision].data["resource"]
            pod = make_pod(
                f"{revision}-{number}",
                revision,
                "a",
                node=f"node-{resource[11:]}",
                resource=resource,
                created_at=self.now,
            )
            if SIZES[resource[11:]] < self.model.total:
                pod = replace(pod, ready=False, ended_reason="ModelTooLarge", refused_needs=self.model, restarts=1)
            else:
                pod = replace(pod, worker=WorkerInfo("cuda", on_gpu=True, needs=self.model))
            self.pods[pod.name] = pod

    @property
    def serving(self) -> set[str | None]:
        return {pod.resource for pod in self.pods.values() if pod.serving}

    def condition(self, kind: str) -> tuple[str, str, str]:
        found = next(item for item in self.status["conditions"] if item["type"] == kind)
        return found["status"], found["reason"], found["message"]


@pytest.mark.parametrize(("weights", "resource"), [(2.0, SMALL), (7.2, MIDDLE), (9.9, LARGE)])
def test_auto_takes_the_smallest_slice_that_holds_the_model(weights: float, resource: str) -> None:
    cluster = Cluster(needs(weights))
    cluster.settle({"slice": {"minMemory": "Auto"}})
    assert cluster.serving == {resource}
    assert cluster.condition("WorkersReady")[0] == "True"
    assert cluster.status["needs"]["total"] == cluster.model.total


def test_a_quantity_counts_as_the_least_where_the_model_takes_more() -> None:
    cluster = Cluster(needs(7.2))
    cluster.settle({"slice": {"minMemory": "4Gi"}})
    assert cluster.serving == {MIDDLE}


def test_a_model_that_no_slice_holds_is_refused_with_its_parts_before_a_further_worker_is_made() -> None:
    cluster = Cluster(needs(6.2), nodes("mig-1g"))
    cluster.settle({"slice": {"minMemory": "Auto"}})
    state, reason, message = cluster.condition("CapacityAvailable")
    assert (state, reason) == ("False", "ModelTooLarge")
    assert "needs 8.0Gi: weights 6.2Gi, KV cache 1.5Gi, buffers 0.3Gi" in message
    assert "the largest slice that nodes offer (nvidia.com/mig-1g) has 5.0Gi" in message
    assert cluster.condition("Stalled")[0] == "True"
    # A node with larger slices is all that it lacks.
    cluster.nodes = nodes("mig-1g", "mig-2g")
    cluster.settle({"slice": {"minMemory": "Auto"}})
    assert cluster.serving == {MIDDLE}


def test_a_change_to_slices_that_are_too_small_starts_no_worker_and_names_the_context_that_fits() -> None:
    cluster = Cluster(needs(4.0, cache=3.0))
    cluster.settle({"slice": {"resource": MIDDLE}})
    before = dict(cluster.pods)
    cluster.settle({"slice": {"resource": SMALL}})
    assert cluster.pods == before
    state, reason, message = cluster.condition("CapacityAvailable")
    assert (state, reason) == ("False", "ModelTooLarge")
    # 5 GiB less 4.3 for all but the cache, less 0.25 for the driver: 0.45 of 3 GiB.
    assert "a slice of nvidia.com/mig-1g (spec.slice.resource) has 5.0Gi" in message
    assert "Lower spec.engine.contextTokens to 1024" in message


def test_a_figure_outlives_the_workers_and_is_of_one_model() -> None:
    cluster = Cluster(needs(7.2))
    cluster.settle({"slice": {"minMemory": "Auto"}})
    assert PoolStatus.read(cluster.status).needs is not None
    cluster.pods = {}
    cluster._pass({"slice": {"minMemory": "Auto"}})
    assert cluster.status["needs"]["weights"] == cluster.model.weights
    # Another model begins where the serving one is; nothing is known of it.
    other = {"source": "https://models.example.com/other.gguf", "digest": f"sha256:{'b' * 64}"}
    cluster._pass({"slice": {"minMemory": "Auto"}, "model": other})
    assert "needs" not in cluster.status


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "12",
        {},
        {"weights": -1, "kv_cache": 1, "buffers": 1, "total": 3},
        {"weights": 1, "kv_cache": 1, "buffers": 1, "total": 2},
        {"weights": 1.5, "kv_cache": 1, "buffers": 1, "total": 9},
        {"weights": True, "kv_cache": 1, "buffers": 1, "total": 9},
        {"weights": 1, "kv_cache": 1, "buffers": 1, "total": 1 << 60},
    ],
)
def test_a_worker_that_says_nonsense_says_nothing(said: object) -> None:
    assert read_needs(said, on_gpu=True) is None


def test_only_what_is_on_a_gpu_is_about_a_slice() -> None:
    said = {"weights": 3, "kv_cache": 2, "buffers": 1, "total": 7, "room": 5, "host": 1}
    assert read_needs(said, on_gpu=True) == ModelNeeds(3, 2, 1, 7)
    assert read_needs(said, on_gpu=False) is None
    assert read_needs(said, on_gpu="yes") is None
