"""Whatever the floors of the zones allow: passes of ours leave at most one worker fewer than a pool is to have, and never none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import MIG, make_node, make_pool
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judged import ask, runs, until
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1 import InferencePool


def tight(replicas: int = 3, slices: tuple[int, ...] = (1, 1, 1), floor: int | None = 0, **spec: object) -> Simulation:
    """A settled pool in the zones a, b, c."""
    zones = {} if floor is None else {"minAvailable": floor}
    run = Simulation(make_pool(replicas=replicas, zones=zones, **spec))
    run.nodes = {f"node-{z}": make_node(f"node-{z}", z, count) for z, count in zip("abc", slices, strict=True)}
    run.settle()
    return run


def fewest(run: Simulation, steps: int = 200) -> int:
    least = run.ready().total()
    for _ in range(steps):
        run.operate()
        run.tick()
        least = min(least, run.ready().total())
    return least


@pytest.mark.parametrize(("replicas", "slices"), [(3, (1, 1, 1)), (2, (1, 1, 0)), (6, (2, 2, 2))])
def test_a_promotion_takes_the_next_zones_worker_when_the_one_before_has_its_new_one(
    replicas: int, slices: tuple[int, ...]
) -> None:
    run = tight(replicas, slices)
    run.pool = changed(run.pool, model=OTHER)
    assert fewest(run) == replicas - 1
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.phases[-1] == "Idle"


def test_the_only_worker_of_a_pool_makes_room_for_its_successor_only_if_the_user_sets_the_floor_to_0() -> None:
    open_to_it = tight(1, (1, 0, 0))
    open_to_it.pool = changed(open_to_it.pool, model=OTHER)
    assert fewest(open_to_it) == 0
    open_to_it.settle()
    assert open_to_it.condition("Ready")["status"] == "True"

    run = tight(1, (1, 0, 0), floor=None)
    run.pool = changed(run.pool, model=OTHER)
    assert fewest(run) == 1
    assert run.condition("RolloutProgressing")["reason"] == "NoSliceToSpare"
    run.nodes["node-a"] = make_node("node-a", "a", 2)
    run.settle()
    assert run.condition("Ready")["status"] == "True"


def test_a_worker_that_is_away_for_other_reasons_does_not_stop_a_promotion() -> None:
    run = tight(3)
    run.nodes["node-b"] = replace(run.nodes["node-b"], allocatable={MIG: 0})
    run.pods = {name: pod for name, pod in run.pods.items() if pod.zone != "b"}
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", 200)
    until(run, "Idle", 300)
    assert run.ready() == {"a": 1, "c": 1}


@pytest.mark.parametrize("edits", [[], ["model"], ["model", "back"], ["worker", "model"]])
def test_a_false_alarm_on_all_devices_costs_no_worker_also_without_floors(edits: list[str]) -> None:
    run = tight(3)
    first = run.pool
    for pod in list(run.pods.values()):
        run.report_unhealthy(pod, dead=False)
    for edit in edits:
        happen(run, first, edit)
        assert fewest(run) == 3
    assert fewest(run) == 3
    if edits in (["model"], ["worker", "model"]):
        waits = run.condition("RolloutProgressing")
        assert waits["reason"] == "NoSliceToSpare"
        assert "called unhealthy" in waits["message"]
    happen(run, first, "well")
    run.settle()
    assert run.condition("Ready")["status"] == "True"


def test_a_false_alarm_in_the_middle_of_a_promotion_costs_no_further_worker() -> None:
    run = tight(6, (2, 2, 2))
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", 200)
    for pod in [pod for pod in run.pods.values() if pod.serving]:
        run.report_unhealthy(pod, dead=False)
    least = run.ready().total()
    assert fewest(run) == least
    waits = run.condition("RolloutProgressing")
    assert waits["reason"] == "NoSliceToSpare"
    assert "called unhealthy" in waits["message"]
    # The devices are said to be well, and the nodes do not offer them again yet.
    run.pods = {name: replace(pod, device_unhealthy=False) for name, pod in run.pods.items()}
    run.operate()
    assert run.ready().total() == least
    assert "offers fewer slices than are held there" in run.condition("RolloutProgressing")["message"]


@pytest.mark.parametrize("floor", [0, 1])
def test_beside_a_worker_that_waits_for_a_slice_a_false_alarm_costs_no_worker(floor: int) -> None:
    run = Simulation(make_pool(replicas=2, zones={"minAvailable": floor}))
    run.nodes = {"node-a": make_node("node-a", "a", 2)}
    run.settle()
    run.pool = changed(run.pool, replicas=3)
    assert fewest(run, 20) == 2
    for pod in [pod for pod in run.pods.values() if pod.serving]:
        run.report_unhealthy(pod, dead=False)
    run.pool = changed(run.pool, model=OTHER)
    assert fewest(run) == 2
    assert run.condition("RolloutProgressing")["reason"] == "NoSliceToSpare"


def test_while_a_device_plugin_is_away_a_change_of_the_model_takes_no_worker() -> None:
    run = tight(3)
    offered = dict(run.nodes)
    run.nodes = {name: replace(node, allocatable={MIG: 0}) for name, node in offered.items()}
    run.pool = changed(run.pool, model=OTHER)
    for _ in range(20):
        run.operate()
        assert run.ready().total() == 3
    run.nodes = offered
    run.settle()
    assert run.condition("Ready")["status"] == "True"


EDITS = ["model", "back", "worker", "up", "down", "rename", "narrow", "widen", "suspect", "well", "promote", "abort"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(0, 2), min_size=3, max_size=3).filter(any),
    replicas=st.integers(1, 5),
    floor=st.sampled_from([0, 0, None, 1]),
    edits=st.lists(st.sampled_from(EDITS), min_size=1, max_size=5),
)
@example(seed=0, slices=[1, 1, 1], replicas=3, floor=0, edits=["model", "rename", "back"])
@example(seed=0, slices=[0, 0, 2], replicas=3, floor=0, edits=["suspect", "model"])
@example(seed=0, slices=[0, 0, 1], replicas=1, floor=0, edits=["model"])
def test_no_story_leaves_a_pool_two_workers_short_by_what_we_do(
    seed: int, slices: list[int], replicas: int, floor: int | None, edits: list[str]
) -> None:
    run = tight(replicas, tuple(slices), floor)
    run.random.seed(seed)
    first = run.pool
    for edit in edits:
        happen(run, first, edit)
        runs(run, run.random.randrange(60))
    happen(run, first, "well")
    run.settle(1500)


def happen(run: Simulation, first: InferencePool, edit: str) -> None:
    count, serving = run.pool.spec.replicas or 1, [pod for pod in run.pods.values() if pod.serving]
    match edit:
        case "model":
            run.pool = changed(run.pool, model=OTHER)
        case "back":
            run.pool = changed(run.pool, model=first.spec.model.model_dump(by_alias=True, exclude_none=True))
        case "worker":
            run.pool = changed(run.pool, worker={"nodeSelector": {}, "env": [{"name": "N", "value": str(run.counter)}]})
        case "up" | "down":
            run.pool = changed(run.pool, replicas=max(1, count + (2 if edit == "up" else -2)))
        case "rename":
            run.rename_zones(dict(zip("abcxyz", "xyzabc", strict=True)))
        case "narrow" | "widen":
            there = sorted({node.zone for node in run.nodes.values()})
            zones = first.spec.zones.model_dump(by_alias=True, exclude_none=True)
            run.pool = changed(run.pool, zones={**zones, **({"names": there[:1]} if edit == "narrow" else {})})
        case "suspect" if serving:
            run.report_unhealthy(run.random.choice(serving), dead=False)
        case "well":
            run.pods = {name: replace(pod, device_unhealthy=False) for name, pod in run.pods.items()}
            run.nodes = {name: replace(node, allocatable={MIG: 2}) for name, node in run.nodes.items()}
        case _ if run.status["rollout"].get("startedAt"):
            ask(run, edit)
