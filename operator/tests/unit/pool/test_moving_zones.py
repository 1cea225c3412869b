"""A pool that leaves zones empty goes to another zone for a new revision rather than wait for a slice: the new worker serves first."""

from __future__ import annotations

from collections import Counter

import pytest
from builders import make_node, make_pool
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judged import ask, until
from simulation import OTHER, Simulation, changed


def settled(replicas: int, slices: dict[str, int], **spec: object) -> Simulation:
    run = Simulation(make_pool(replicas=replicas, **spec))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in slices.items()}
    run.settle()
    return run


def fewest_until_settled(run: Simulation, steps: int = 400) -> int:
    least = run.ready().total()
    for _ in range(steps):
        run.operate()
        run.tick()
        least = min(least, run.ready().total())
    run.settle()
    return least


@pytest.mark.parametrize("zone", ["a", "b"])
def test_the_only_worker_moves_to_the_zone_that_has_a_slice_and_its_successor_serves_before_it_goes(zone: str) -> None:
    other = "b" if zone == "a" else "a"
    run = settled(1, {zone: 1})
    run.nodes["node-other"] = make_node("node-other", other, 1)
    run.settle()
    assert run.ready() == {zone: 1}, "nothing moves without need"
    run.pool = changed(run.pool, model=OTHER)
    assert fewest_until_settled(run) == 1
    assert run.condition("Ready")["status"] == "True"
    assert (run.ready(), run.budgets) == ({other: 1}, {other: 1})
    assert set(run.by_revision()) == {run.status["revisions"]["stable"]}


def test_two_workers_go_where_the_slices_are() -> None:
    run = settled(2, {"a": 1, "b": 1})
    run.nodes |= {f"node-{zone}": make_node(f"node-{zone}", zone, 1) for zone in "cd"}
    run.pool = changed(run.pool, model=OTHER)
    assert fewest_until_settled(run) >= 1
    assert run.condition("Ready")["status"] == "True"
    assert run.ready().total() == 2


@pytest.mark.parametrize("phase", ["Warming", "Promoting"])
def test_a_move_that_is_taken_back_ends_with_the_old_revision(phase: str) -> None:
    run = settled(1, {"a": 1})
    run.nodes["node-b"] = make_node("node-b", "b", 1)
    old = run.status["revisions"]["stable"]
    first = run.pool.spec.model.model_dump(by_alias=True, exclude_none=True)
    run.pool = changed(run.pool, model=OTHER)
    until(run, phase, 100)
    run.pool = changed(run.pool, model=first)
    assert fewest_until_settled(run) == 1
    assert set(run.by_revision()) == {old}
    assert run.condition("Ready")["status"] == "True"


def test_a_successor_that_never_serves_takes_the_only_worker_nowhere() -> None:
    run = settled(1, {"a": 1})
    run.nodes["node-b"] = make_node("node-b", "b", 1)
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", 100)
    run.broken = {run.status["revisions"]["canary"]}
    run.pods = {name: pod for name, pod in run.pods.items() if pod.zone == "a"}
    for _ in range(200):
        run.operate()
        run.tick()
        assert run.ready()["a"] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(1, 2), min_size=2, max_size=5),
    empty=st.integers(1, 3),
    floor=st.sampled_from([None, None, 0]),
    edits=st.lists(st.sampled_from(["model", "back", "abort", "promote"]), min_size=1, max_size=4),
)
@example(seed=0, slices=[1, 1], empty=1, floor=None, edits=["model"])
@example(seed=1, slices=[1, 1], empty=1, floor=0, edits=["model", "back"])
@example(seed=1, slices=[1, 1], empty=1, floor=None, edits=["model", "abort"])
def test_a_pool_with_room_in_another_zone_always_gets_its_revision_and_keeps_all_but_one(
    seed: int, slices: list[int], empty: int, floor: int | None, edits: list[str]
) -> None:
    """As many workers as there are zones less some, so that a zone without a worker has a slice all the time."""
    zones = dict(zip("abcde", slices, strict=False))
    replicas = max(1, len(zones) - empty)
    run = settled(replicas, zones, zones={} if floor is None else {"minAvailable": floor})
    run.random.seed(seed)
    first = run.pool.spec.model.model_dump(by_alias=True, exclude_none=True)
    # The only worker of a pool may go before its successor serves if the user has set the floor to 0.
    least = max(1, replicas - 1) if replicas > 1 or floor is None else 0
    for edit in edits:
        if edit in {"model", "back"}:
            run.pool = changed(run.pool, model=OTHER if edit == "model" else first)
        elif run.status["rollout"].get("startedAt"):
            ask(run, edit)
        for _ in range(run.random.randrange(60)):
            run.operate()
            run.tick()
            assert run.ready().total() >= least
    run.settle(1500)
    assert run.condition("WorkersReady")["status"] == "True"
    assert run.condition("Ready")["status"] == "True" or run.phases[-1] == "RolledBack"
    assert sum(Counter(run.ready()).values()) == replicas
