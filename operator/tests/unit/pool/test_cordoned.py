"""Cordoned nodes in a change of the model: a worker there gives no place to a new one, and goes first once its successor serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from builders import MIG, make_node
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judged import ask
from settled import settled
from simulation import OTHER, Simulation, changed

CORDONED = "node-a1"


def cordon(run: Simulation, names: Iterable[str], *, on: bool = True) -> None:
    for name in names:
        run.nodes[name] = replace(run.nodes[name], cordoned=on)


def lives(run: Simulation, steps: int = 300) -> int:
    """Let it run; no worker of a new revision is ever placed on a cordoned node. Returns the fewest that ever served."""
    least = run.ready().total()
    for _ in range(steps):
        before = {pod.name for pod in run.pods.values() if pod.node is not None}
        run.operate()
        run.tick()
        placed = {str(pod.node) for pod in run.pods.values() if pod.node is not None and pod.name not in before}
        assert not any(run.nodes[name].cordoned for name in placed)
        least = min(least, run.ready().total())
    return least


@pytest.mark.parametrize("floor", [None, 0])
def test_while_all_nodes_are_cordoned_a_change_of_the_model_takes_no_worker(floor: int | None) -> None:
    zones = {} if floor is None else {"minAvailable": floor}
    run = settled(6, {"node-a1": 2, "node-b1": 2, "node-c1": 2}, zones=zones)
    cordon(run, run.nodes)
    run.pool = changed(run.pool, model=OTHER)
    assert lives(run) == 6
    rollout = run.condition("RolloutProgressing")
    assert rollout["reason"] == "NoSliceToSpare"
    assert "cordoned" in rollout["message"]
    cordon(run, run.nodes, on=False)
    run.settle()
    assert run.condition("Ready")["status"] == "True"


def test_a_node_that_is_cordoned_in_the_middle_of_a_promotion_keeps_its_workers_and_holds_no_other_zone() -> None:
    run = settled(6, {"node-a1": 2, "node-b1": 2, "node-c1": 2})
    cordon(run, [CORDONED])
    run.pool = changed(run.pool, model=OTHER)
    assert lives(run) == 5
    new = run.status["rollout"]["target"]
    at = {str(pod.node): pod.revision == new for pod in run.pods.values() if pod.serving}
    assert at == {"node-a1": False, "node-b1": True, "node-c1": True}
    assert run.ready().total() == 6
    assert "cordoned" in run.condition("RolloutProgressing")["message"]


def test_without_a_free_slice_the_worker_beside_a_cordoned_node_makes_room() -> None:
    run = settled(2, {"node-a1": 1, "node-a2": 1})
    cordon(run, [CORDONED])
    run.pool = changed(run.pool, model=OTHER)
    assert lives(run) == 1
    new = run.status["rollout"]["target"]
    serves = {str(pod.node): pod.revision for pod in run.pods.values() if pod.serving}
    assert serves["node-a2"] == new
    assert run.ready().total() == 2, "the one on the cordoned node serves on, for no other slice is free"


@pytest.mark.parametrize("seed", range(4))
def test_the_worker_on_a_cordoned_node_is_the_first_to_go_once_its_successor_serves(seed: int) -> None:
    run = settled(2, {"node-a1": 1, "node-a2": 1})
    run.random.seed(seed)
    run.nodes["node-a3"] = make_node("node-a3", "a", 1)
    run.pool = changed(run.pool, model=OTHER)
    while not any(pod.node == "node-a3" for pod in run.pods.values()):
        run.operate()
        run.tick()
    cordon(run, [CORDONED])
    left = []
    for _ in range(200):
        before = {pod.name: pod.node for pod in run.pods.values() if pod.serving}
        run.operate()
        run.tick()
        serving = {pod.name for pod in run.pods.values() if pod.serving}
        left += [node for name, node in before.items() if name not in serving]
    assert left[0] == CORDONED
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert {pod.node for pod in run.pods.values()} == {"node-a2", "node-a3"}


def places(run: Simulation, floor: int) -> tuple[int, int]:
    """How many workers the pool has slices for, and how many of those that it wants are kept for zones that lack them for their floor."""
    there: Counter[str] = Counter()
    for node in run.nodes.values():
        held = sum(pod.node == node.name and not pod.terminating for pod in run.pods.values())
        there[node.zone] += held if node.cordoned else node.allocatable[MIG]
    return there.total(), sum(max(0, floor - count) for count in there.values())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(1, 2), min_size=4, max_size=6),
    spare=st.integers(0, 2),
    floor=st.sampled_from([None, 0, 1]),
    edits=st.lists(
        st.sampled_from(["model", "model", "back", "cordon", "cordon", "uncordon", "promote", "abort"]),
        min_size=2,
        max_size=6,
    ),
)
@example(seed=0, slices=[1, 1, 1, 1], spare=0, floor=0, edits=["cordon", "cordon", "model"])
@example(seed=574, slices=[1, 1, 1, 2], spare=0, floor=None, edits=["model", "cordon"])
@example(seed=9, slices=[1, 1, 1, 1, 1], spare=0, floor=0, edits=["cordon", "model"])
@example(seed=2, slices=[2, 1, 1, 1], spare=1, floor=None, edits=["cordon", "model"])
def test_no_story_of_cordoned_nodes_leaves_a_pool_two_workers_short(
    seed: int, slices: list[int], spare: int, floor: int | None, edits: list[str]
) -> None:
    """Two nodes in each zone. Nothing but our own steps takes a worker: a cordoned one is not drained.

    A slice that is empty when its node is cordoned, such as one that a step of ours has just left, is lost to the pool as after a drain.
    So it is all but one of the workers for which there are slices after the edit, and where fewer serve, none goes.
    """
    nodes = {f"node-{'abc'[number // 2]}{number % 2}": count for number, count in enumerate(slices)}
    replicas = max(len(slices) // 2 + len(slices) % 2, sum(slices) - spare)
    run = settled(replicas, nodes, zones={} if floor is None else {"minAvailable": floor})
    run.random.seed(seed)
    first = run.pool.spec.model.model_dump(by_alias=True, exclude_none=True)
    for edit in edits:
        match edit:
            case "model" | "back":
                run.pool = changed(run.pool, model=OTHER if edit == "model" else first)
            case "cordon" | "uncordon":
                cordon(run, [run.random.choice(sorted(run.nodes))], on=edit == "cordon")
            case _ if run.status["rollout"].get("startedAt"):
                ask(run, edit)
        has_slices, lacking = places(run, floor or 0)
        least = min(run.ready().total(), has_slices - 1, replicas - lacking - 1)
        assert lives(run, run.random.randrange(60)) >= max(1, least)
    cordon(run, run.nodes, on=False)
    run.settle(1500)
    assert run.ready().total() == replicas
