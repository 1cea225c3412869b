"""The CPU fallback in a simulated cluster: what its Deployment is, where the gateway sends requests, and what the status says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from builders import make_node, make_observed, make_pod, make_pool
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import OTHER, Simulation, changed

from slicewise.api.labels import FALLBACK
from slicewise.pool.fallback import GONE_SECONDS
from slicewise.pool.observed import FetchProgress, ObservedDeployment, ObservedPod, ObservedPool
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool

CPU: dict[str, Any] = {"cores": "2", "memory": "4Gi", "replicas": 2}
T = 1_000_000.0


@dataclass
class Run(Simulation):
    """A simulation that has the fallback's Deployment, too; its pods are ready one after another."""

    cpu: ObservedDeployment | None = None
    cpu_works: bool = True
    cpu_pods: tuple[ObservedPod, ...] = ()

    def observed(self) -> ObservedPool:
        return replace(super().observed(), fallback=self.cpu, fallback_pods=self.cpu_pods)

    def _apply(self, plan: PoolPlan) -> None:
        super()._apply(plan)
        named = [item for item in plan.children or () if item["metadata"]["name"] == "chat-fallback"]
        found = next((item for item in named if item["kind"] == "Deployment"), None)
        if found is None:
            self.cpu = None
            return
        replicas = found["spec"]["replicas"]
        ready = min(replicas, 0 if self.cpu is None else self.cpu.ready)
        self.cpu = ObservedDeployment("chat-fallback", "", "", replicas, ready=ready)

    def tick(self) -> None:
        super().tick()
        if self.cpu is not None and self.cpu_works and self.cpu.ready < self.cpu.replicas:
            self.cpu = replace(self.cpu, ready=self.cpu.ready + 1)

    def lose_all(self) -> None:
        """Every device dies: no worker serves any more, and no slice is left."""
        self.nodes = {name: make_node(name, node.zone, 0) for name, node in self.nodes.items()}
        self.pods = {}

    def come_back(self) -> None:
        self.nodes = {name: make_node(name, node.zone, 2) for name, node in self.nodes.items()}

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.operate()
            self.tick()
        self.operate()

    def says(self, kind: str) -> tuple[str | None, str | None]:
        found = self.condition(kind)
        return found.get("status"), found.get("reason")


@pytest.fixture
def run() -> Run:
    started = Run(make_pool(replicas=3, zones={"minAvailable": 1}, fallback={"cpu": CPU}))
    started.settle()
    return started


def test_with_slices_there_is_a_deployment_of_nothing_and_the_pool_is_ready(run: Run) -> None:
    run.seconds(61)
    assert run.cpu is not None
    assert run.cpu.replicas == 0
    assert run.says("FallbackActive") == ("False", "NotNeeded")
    assert run.says("Accepted") == ("True", "Accepted")
    assert run.says("Ready") == ("True", "AllWorkersReady")


def test_the_whole_story_of_devices_that_die_and_come_back(run: Run) -> None:
    run.seconds(61)
    floors = dict(run.budgets)
    run.lose_all()
    run.seconds(int(GONE_SECONDS) - 2)
    assert run.says("FallbackActive") == ("False", "Pending")
    assert run.cpu is not None
    assert run.cpu.replicas == 0
    run.cpu_works = False
    run.seconds(5)
    assert run.says("FallbackActive") == ("True", "Starting")
    assert run.says("ServingOnGPU") == (None, None)
    assert run.cpu.replicas == 2
    run.cpu_works = True
    run.seconds(5)
    assert run.says("FallbackActive") == ("True", "Serving")
    assert run.says("ServingOnGPU") == ("False", "OnFallback")
    assert run.says("Ready")[0] == "False"
    assert run.condition("Ready")["message"].endswith("; the CPU fallback answers meanwhile")
    assert run.condition("Stalled")["status"] == "False"
    assert run.budgets == floors, "no floor is traded"
    run.seconds(60)
    run.come_back()
    run.seconds(30)
    assert run.says("FallbackActive") == ("True", "Returning")
    assert run.says("ServingOnGPU")[0] != "False"
    assert run.cpu.replicas == 2
    run.settle()
    run.seconds(90)
    assert run.says("FallbackActive") == ("False", "NotNeeded")
    assert run.says("Ready") == ("True", "AllWorkersReady")
    assert run.cpu.replicas == 0
    assert [item for item in run.events if item.startswith("Fallback")] == ["FallbackStarted", "FallbackEnded"]


FAILING = [
    ({"ended_reason": "ContextTooLong", "ended_message": "the model takes 512 tokens"}, "the model takes 512 tokens"),
    ({"waiting_reason": "ImagePullBackOff", "waiting_message": "manifest unknown"}, "manifest unknown. Check"),
    ({"waiting_reason": "Unschedulable", "waiting_message": "0/3 nodes"}, "fits no node: 0/3 nodes (spec.fallback.cpu"),
    (
        {"waiting_reason": "CreateContainerConfigError", "waiting_message": 'secret "k" not found'},
        'secret "k" not found',
    ),
    ({"fetch": FetchProgress(reason="DigestMismatch", message="other bytes")}, "(DigestMismatch): other bytes"),
    ({"restarts": 3, "ended_message": "Killed"}, "ended 3 times: Killed"),
]


@pytest.mark.parametrize(("trouble", "words"), FAILING)
def test_why_the_fallback_does_not_start_is_said(trouble: dict[str, Any], words: str) -> None:
    pod = make_pod("chat-fallback-x", "", "", ready=False, **trouble)
    run = Run(make_pool(replicas=1, fallback={"cpu": {**CPU, "warm": True}}), cpu_works=False, cpu_pods=(pod,))
    run.settle()
    assert words in run.condition("FallbackActive")["message"], "while slices serve, of one that is kept warm"
    run.seconds(61)
    run.lose_all()
    run.seconds(int(GONE_SECONDS) + 3)
    assert run.says("FallbackActive") == ("True", "Starting")
    assert words in run.condition("FallbackActive")["message"]
    assert "FallbackActive" in run.condition("Stalled")["message"]
    run.cpu_pods = (replace(pod, waiting_reason=None, ended_reason=None, restarts=0, fetch=None),)
    run.seconds(2)
    assert "kubectl get pods" in run.condition("FallbackActive")["message"]


def test_warm_workers_stand_by_and_answer_at_once() -> None:
    run = Run(make_pool(replicas=1, fallback={"cpu": {**CPU, "warm": True}}))
    run.settle()
    run.seconds(70)
    assert run.cpu is not None
    assert (run.cpu.replicas, run.cpu.ready) == (2, 2)
    assert run.says("FallbackActive") == ("False", "NotNeeded")
    assert "kept warm" in run.condition("FallbackActive")["message"]
    assert run.says("Ready") == ("True", "AllWorkersReady")
    run.lose_all()
    run.operate()
    assert run.says("FallbackActive") == ("False", "Pending")
    assert run.says("ServingOnGPU") == ("False", "OnFallback")


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"suspend": True}])
def test_a_pool_without_workers_on_purpose_keeps_none_on_cpu_either(spec: dict[str, Any]) -> None:
    run = Run(make_pool(replicas=1, fallback={"cpu": {**CPU, "warm": True}}))
    run.settle()
    run.seconds(5)
    run.pool = changed(run.pool, **spec)
    run.settle()
    assert run.cpu is not None
    assert run.cpu.replicas == 0
    assert run.says("FallbackActive") == ("False", "NotNeeded")
    assert run.says("Ready")[0] == "True"
    assert backends(run.operate()) == {run.status["revisions"]["stable"]: ["chat-" + run.status["revisions"]["stable"]]}


def test_a_fallback_that_is_taken_out_of_the_spec_leaves_nothing(run: Run) -> None:
    run.lose_all()
    run.seconds(30)
    assert run.says("FallbackActive")[0] == "True"
    body = run.pool.model_dump(by_alias=True, exclude_none=True, mode="json")
    del body["spec"]["fallback"]
    run.pool = type(run.pool).model_validate(body)
    plan = run.operate()
    assert "fallback" not in run.status
    assert run.says("FallbackActive") == (None, None)
    assert not [item for item in plan.children or () if "fallback" in json.dumps(item["metadata"])]


def test_one_who_may_not_start_says_so(run: Run) -> None:
    run.cpu_works = False
    run.lose_all()
    run.seconds(30)
    assert run.cpu is not None
    run.cpu = replace(run.cpu, failure="exceeded quota: cpu, requested: cpu=2, limited: cpu=1")
    run.operate()
    found = run.condition("FallbackActive")
    assert (found["status"], found["reason"]) == ("True", "Starting")
    assert "exceeded quota" in found["message"]
    assert "FallbackActive" in run.condition("Stalled")["message"]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    warm=st.booleans(),
    edits=st.lists(
        st.sampled_from(["lose", "back", "model", "zero", "up", "broken", "works", "leap", "crash"]), max_size=8
    ),
)
def test_no_story_makes_conditions_contradict_or_touches_a_floor(seed: int, warm: bool, edits: list[str]) -> None:
    run = Run(make_pool(replicas=2, zones={"minAvailable": 0}, fallback={"cpu": {**CPU, "warm": warm}}))
    run.random.seed(seed)
    for edit in edits:
        run.seconds(run.random.randrange(60))
        match edit:
            case "lose":
                run.lose_all()
            case "back":
                run.come_back()
            case "model":
                run.pool = changed(run.pool, model=OTHER)
            case "zero" | "up":
                run.pool = changed(run.pool, replicas=0 if edit == "zero" else 3)
            case "broken" | "works":
                run.cpu_works = edit == "works"
            case "leap":
                run.now += run.random.choice([-5000.0, 5000.0])
            case _:
                run.crashes = 0.2
    run.crashes = 0.0
    run.come_back()
    run.seconds(150)
    assert run.says("FallbackActive") == ("False", "NotNeeded")
    assert run.cpu is not None
    assert run.cpu.replicas == (2 if warm and run.status["desired"] else 0)


def file(plan: PoolPlan, name: str) -> str:
    """Return one of the gateway's files."""
    found = next(item for item in plan.children or () if item["metadata"]["name"] == "chat-gateway" and "data" in item)
    return str(found["data"][name])


def backends(plan: PoolPlan) -> dict[str, list[str]]:
    """Revision → Services behind it, in the order in which they are asked."""
    clusters = json.loads(file(plan, "agent.json"))["clusters"].values()
    return {
        cluster["revision"]: [item["service"] for item in sorted(cluster["backends"], key=lambda b: b["priority"])]
        for cluster in clusters
    }


def test_the_gateway_asks_it_behind_the_revision_that_serves(run: Run) -> None:
    stable = run.status["revisions"]["stable"]
    assert backends(run.operate()) == {stable: [f"chat-{stable}", "chat-fallback"]}


def test_a_canary_that_serves_keeps_it_away_and_never_has_it_behind_itself(run: Run) -> None:
    canary = {"p95": "600ms", "steps": [{"weight": 5, "window": "60s"}]}
    run.pool = changed(run.pool, model=OTHER, rollout={"canary": canary})
    seen, listeners = set(), set()
    for _ in range(40):
        plan = run.operate()
        listeners.add(file(plan, "lds.json"))
        found, revisions = backends(plan), run.status["revisions"]
        serves = any(pod.serving and pod.revision == revisions.get("canary") for pod in run.pods.values())
        behind = {revision for revision, services in found.items() if "chat-fallback" in services}
        if not serves and revisions.get("canary"):
            assert behind <= {revisions["stable"]}
        seen.add((serves, bool(behind)))
        run.tick()
    assert (True, False) in seen
    assert (False, True) in seen
    assert len(listeners) == 1, "no connection is drained for it"
    assert "served_by" in listeners.pop(), "what it does is counted apart"


def test_other_children_are_the_same_with_and_without_it() -> None:
    pods = tuple(make_pod(f"w-{zone}", "aaaa1111", zone) for zone in "abc")

    def others(**spec: Any) -> dict[tuple[str, str], Any]:
        plan = plan_pool(make_pool(replicas=3, **spec), make_observed(pods=pods), T)
        children = {(item["kind"], item["metadata"]["name"]): item for item in plan.children or ()}
        return {key: item for key, item in children.items() if key[0] in {"PodDisruptionBudget", "Deployment"}}

    plain, with_it = others(), others(fallback={"cpu": CPU})
    extra = with_it.keys() - plain.keys()
    assert extra == {("Deployment", "chat-fallback"), ("PodDisruptionBudget", "chat-fallback")}
    assert {key: item for key, item in with_it.items() if key not in extra} == plain
    assert FALLBACK not in json.dumps([plain[key] for key in plain])
