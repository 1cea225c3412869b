"""Workers that fit no node although slices are free: what is removed for them, what is said, and that it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node, make_pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import LIMITS, phase, runs, until, wanted
from simulation import OTHER, Simulation, changed

from slicewise.pool.rollout.unplaced import UNPLACED_SECONDS

REFUSED = "didn't match pod anti-affinity rules"


def apart(replicas: int = 3, nodes: int = 1, **spec: object) -> Simulation:
    """A settled pool of which a node takes one worker, though it has two slices."""
    run = Simulation(make_pool(replicas=replicas, **spec), apart=True)
    names = [f"node-{zone}{number}" for number in range(nodes) for zone in "abc"]
    run.nodes = {name: make_node(name, name[5]) for name in names}
    run.settle()
    return run


def test_a_rollout_goes_on_where_a_node_takes_one_worker_although_slices_are_free() -> None:
    run = apart(6, nodes=2, zones={"minAvailable": 1})
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Idle", 1500)
    assert run.status["revisions"] == {"stable": wanted(run)}
    run.settle(1500)
    assert run.ready() == {"a": 2, "b": 2, "c": 2}


def test_placing_is_given_up_at_the_deadline_with_the_words_of_the_scheduler() -> None:
    run = apart(3, zones={"minAvailable": 1}, rollout={"progressDeadline": "5m"})
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Placing")
    runs(run, 60)
    assert phase(run) == "Placing"
    assert REFUSED in run.condition("RolloutProgressing")["message"]
    until(run, "RolledBack", 600)
    assert run.status["rollout"]["abortReason"] == "ProgressDeadlineExceeded"
    assert "was not placed on a node within 300 s (spec.rollout.progressDeadline)" in run.status["rollout"]["message"]
    assert REFUSED in run.status["rollout"]["message"]
    run.settle()
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_placing_waits_beyond_the_deadline_for_a_worker_that_terminates_there() -> None:
    run = apart(6, nodes=2, zones={"minAvailable": 1}, rollout={"progressDeadline": "1s"})
    run.pool = changed(run.pool, model=OTHER)
    run.linger = 0.95
    until(run, "Placing")
    for _ in range(400):
        run.operate()
        zone = run.status["rollout"].get("zone")
        if any(pod.terminating and pod.zone == zone for pod in run.pods.values()):
            assert phase(run) != "RollingBack"
        run.tick()


def test_the_deadline_of_placing_begins_when_a_slice_is_planned() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}, rollout={"progressDeadline": "1m"}))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 1) for zone in "abc"}
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    runs(run, 300)
    assert run.condition("RolloutProgressing")["reason"] == "NoSliceToSpare"
    run.nodes = {name: make_node(name, node.zone, 2) for name, node in run.nodes.items()}
    until(run, "Idle", 300)
    assert "RolledBack" not in run.phases


def test_a_free_slice_of_another_zone_is_taken_where_nothing_can_be_spared() -> None:
    run = apart(3, zones={"minAvailable": 1}, rollout={"canary": LIMITS})
    run.nodes["node-c9"] = make_node("node-c9", "c", 1)
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Warming", 200)
    assert run.status["rollout"]["zone"] == "c"


def test_a_drain_that_no_node_takes_the_replacement_of_is_said_to_be_blocked() -> None:
    run = apart(3, zones={"minAvailable": 1})
    run.nodes["node-a0"] = replace(run.nodes["node-a0"], cordoned=True)
    run.nodes["node-a1"] = make_node("node-a1", "a")
    run.crowded = {"node-a1"}
    runs(run, 60)
    drain = run.condition("DrainBlocked")
    assert (drain["status"], drain["reason"]) == ("True", "NoFreeSlice")
    assert "no node there takes the replacement although a slice is free" in drain["message"]
    assert REFUSED in run.condition("CapacityAvailable")["message"]


def test_such_a_drain_is_said_to_be_blocked_as_soon_as_the_refusal_counts() -> None:
    run = apart(3, zones={"minAvailable": 1})
    run.nodes["node-a0"] = replace(run.nodes["node-a0"], cordoned=True)
    run.nodes["node-a1"] = make_node("node-a1", "a")
    run.crowded = {"node-a1"}
    while run.condition("DrainBlocked").get("status") != "True":
        runs(run, 1)
    (waits,) = [pod for pod in run.pods.values() if pod.unplaced]
    assert run.now - waits.created_at == UNPLACED_SECONDS + 1, "a pass was due when it did, and a second passed since"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    nodes=st.integers(1, 3),
    replicas=st.integers(1, 7),
    floor=st.one_of(st.none(), st.integers(0, 2)),
)
def test_no_rollout_beside_free_slices_that_fit_nobody_stops_without_a_word(
    seed: int, nodes: int, replicas: int, floor: int | None
) -> None:
    zones = {} if floor is None else {"minAvailable": floor}
    run = apart(replicas, nodes, zones=zones, rollout={"progressDeadline": "2m"})
    run.random.seed(seed)
    run.pool = changed(run.pool, model=OTHER)
    blocked = 0
    for _ in range(2000):
        run.operate()
        waits = run.condition("RolloutProgressing").get("reason") == "NoSliceToSpare"
        blocked = blocked + 1 if waits else 0
        if blocked > 100:
            return  # it waits, and says for what
        if phase(run) in {"Idle", "RolledBack"} and wanted(run) in {
            run.status["revisions"]["stable"],
            run.status["rollout"].get("target"),
        }:
            return
        run.tick()
    raise AssertionError(f"never over: {run.status['rollout']}")


@pytest.mark.parametrize("floor", [0, 1])
def test_a_rollout_taken_back_beside_such_slices_ends_too(floor: int) -> None:
    run = apart(6, nodes=2, zones={"minAvailable": floor})
    first = run.pool.spec.model.model_dump(by_alias=True, exclude_none=True)
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", 1500)
    runs(run, 80)
    run.pool = changed(run.pool, model=first)
    until(run, "Idle", 1500)
    run.settle(1500)
    assert run.ready() == {"a": 2, "b": 2, "c": 2}


def test_a_drain_in_a_zone_that_has_left_the_pool_is_judged_without_slices_of_its_own() -> None:
    run = Simulation(make_pool(replicas=1, zones={"minAvailable": 2}))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 1) for zone in "abc"}
    run.settle()
    run.crowded = set(run.nodes)
    run.rename_zones(dict(zip("abc", "xyz", strict=True)))
    run.nodes = {name: replace(node, cordoned=True) for name, node in run.nodes.items()}
    runs(run, 60)
    assert run.condition("DrainBlocked")["status"] == "True"
