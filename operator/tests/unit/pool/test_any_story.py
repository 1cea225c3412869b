"""No sequence of edits and mishaps breaks the two promises: the floor, and one worker a slice."""

from __future__ import annotations

from dataclasses import replace

from builders import make_node, make_pool
from counting import CountingGateway, Quality
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judged import ask
from simulation import OTHER, Simulation, changed

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.api.v1alpha1 import InferencePool
from slicewise.pool.revision import revision_hash, revision_inputs


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    start=st.integers(0, 7),
    floor=st.one_of(st.none(), st.integers(0, 2)),
    crashes=st.sampled_from([0.0, 0.3]),
    edits=st.lists(
        st.sampled_from(["model", "back", "up", "down", "one", "cordon", "uncordon", "kill", "zero"]), max_size=6
    ),
)
@example(seed=0, slices=[0, 0, 3], start=7, floor=2, crashes=0.0, edits=["down", "model"])
@example(seed=0, slices=[0, 2, 2], start=6, floor=1, crashes=0.0, edits=["model", "down"])
@example(seed=0, slices=[0, 0, 1], start=1, floor=0, crashes=0.0, edits=["model"])
@example(seed=6529, slices=[4, 1, 0], start=7, floor=None, crashes=0.3, edits=["kill", "model", "down", "one", "down"])
@example(seed=9486, slices=[2, 1, 2], start=1, floor=2, crashes=0.3, edits=["back", "down", "down", "model", "down"])
def test_no_story_takes_a_zone_below_its_floor_or_two_workers_to_one_slice(
    *, seed: int, slices: list[int], start: int, floor: int | None, crashes: float, edits: list[str]
) -> None:
    zones = {} if floor is None else {"minAvailable": floor}
    run = Simulation(make_pool(replicas=start, zones=zones), crashes=crashes)
    run.random.seed(seed)
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    first = run.pool
    for edit in edits:
        for _ in range(run.random.randrange(40)):
            run.operate()
            run.tick()
        run.pool = _edited(run, first, edit)
    run.broken.clear()
    run.crashes = 0.0
    for name, node in run.nodes.items():
        run.nodes[name] = replace(node, cordoned=False)
    run.settle(1500)


REQUESTS = ["promote", "abort", "retry", "pause", "resume", "skip-step"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    replicas=st.integers(1, 6),
    rate=st.sampled_from([0.0, 1.0, 50.0]),
    failed=st.sampled_from([0.0, 0.01, 0.5]),
    crashes=st.sampled_from([0.0, 0.3]),
    edits=st.lists(
        st.sampled_from(
            ["model", "back", "kill", "cordon", "uncordon", "gateway", "leader", "leap", "crash", *REQUESTS]
        ),
        max_size=6,
    ),
)
@example(seed=0, slices=[1, 1, 1], replicas=3, rate=50.0, failed=0.5, crashes=0.3, edits=["model", "leader", "back"])
@example(
    seed=1,
    slices=[2, 2, 2],
    replicas=3,
    rate=50.0,
    failed=0.0,
    crashes=0.3,
    edits=["model", "promote", "abort", "retry"],
)
@example(seed=0, slices=[1, 1, 1], replicas=1, rate=0.0, failed=0.0, crashes=0.0, edits=["model", "promote"])
@example(seed=1, slices=[1, 1, 1], replicas=5, rate=0.0, failed=0.0, crashes=0.0, edits=["model"])
@example(seed=142, slices=[1, 3, 1], replicas=6, rate=0.0, failed=0.0, crashes=0.0, edits=["model", "promote"])
@example(
    seed=142, slices=[1, 3, 1], replicas=6, rate=0.0, failed=0.0, crashes=0.0, edits=["promote", "model", "promote"]
)
def test_no_story_of_a_judged_rollout_moves_workers_before_requests_or_ends_in_between(
    *, seed: int, slices: list[int], replicas: int, rate: float, failed: float, crashes: float, edits: list[str]
) -> None:
    canary = {"p95": "600ms", "deadline": "30s", "onUndecided": "Abort", "steps": [{"weight": 5, "window": "5s"}]}
    run = Simulation(make_pool(replicas=replicas, rollout={"canary": canary}), gateway=CountingGateway(rate, seed=seed))
    run.random.seed(seed)
    run.crashes = crashes
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    first = run.pool
    assert run.gateway is not None
    run.gateway.quality[revision_hash(revision_inputs(changed(first, model=OTHER).spec))] = Quality(failed=failed)
    for edit in edits:
        for _ in range(run.random.randrange(40)):
            run.operate()
            run.tick()
        run.pool = _happened(run, first, edit)
    _over(run)


def _happened(run: Simulation, first: InferencePool, edit: str) -> InferencePool:
    gateway, rollout = run.gateway, run.status.get("rollout", {})
    assert gateway is not None
    match edit:
        case "gateway":
            gateway.restart()
        case "leader":
            gateway.operator_restarts()
        case "leap":
            run.now += run.random.choice([-7200, 7200])
        case "crash":
            run.broken ^= {str(rollout.get("target"))}
        case _ if edit in REQUESTS:
            if rollout.get("startedAt"):
                ask(run, edit, *([0] if edit == "skip-step" else []))
        case _:
            return _edited(run, first, edit)
    return run.pool


def _over(run: Simulation) -> None:
    """When nothing more happens to it, a rollout ends: the wanted revision serves alone, or was given up."""
    run.broken.clear()
    run.crashes = 0.0
    for name, node in run.nodes.items():
        run.nodes[name] = replace(node, cordoned=False)
    if "pause" in run.pool.metadata.annotations.get(ANNOTATION_REQUEST, ""):
        ask(run, "resume")
    blocked = 0
    for _ in range(3000):
        run.operate()
        waits = run.condition("RolloutProgressing").get("reason") == "NoSliceToSpare"
        blocked = blocked + 1 if waits else 0
        if (
            run.status["rollout"]["phase"] in {"Idle", "RolledBack"}
            and run.condition("RolloutProgressing").get("status") != "True"
        ):
            return
        if blocked > 200:
            return  # nobody has a slice to spare, and says so
        run.tick()
    raise AssertionError(f"never over: {run.status['rollout']}")


def _edited(run: Simulation, first: InferencePool, edit: str) -> InferencePool:
    count = run.pool.spec.replicas or 0
    match edit:
        case "model":
            return changed(run.pool, model=OTHER)
        case "back":
            return changed(run.pool, model=first.spec.model.model_dump(by_alias=True, exclude_none=True))
        case "up":
            return changed(run.pool, replicas=count + 2)
        case "down":
            return changed(run.pool, replicas=max(0, count - 2))
        case "one":
            return changed(run.pool, replicas=1)
        case "zero":
            return changed(run.pool, replicas=0)
        case "kill" if run.pods:
            del run.pods[run.random.choice(sorted(run.pods))]
        case "cordon" | "uncordon":
            name = run.random.choice(sorted(run.nodes))
            run.nodes[name] = replace(run.nodes[name], cordoned=edit == "cordon")
    return run.pool
