"""The floor in the corners: devices called unhealthy, zones that leave the pool, and evictions meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import MIG, make_node, make_pool
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulation import OTHER, Simulation, changed

from slicewise.pool.zones import ZoneTarget, budget_floors


def evict_all(run: Simulation) -> None:
    """Evict whatever the budgets let go, on every node."""
    for node in list(run.nodes):
        while run.evict(node):
            pass


def live(run: Simulation, steps: int = 60, *, evicting: bool = False) -> int:
    """Let operator and cluster run; return the fewest workers that ever served."""
    fewest = sum(run.ready().values())
    for _ in range(steps):
        run.operate()
        if evicting:
            evict_all(run)
        run.tick()
        fewest = min(fewest, sum(run.ready().values()))
    return fewest


@pytest.mark.parametrize("slices", [1, 2])
def test_zones_renamed_on_all_nodes_never_leave_evictions_the_last_worker(slices: int) -> None:
    run = Simulation(make_pool(replicas=3))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, slices) for zone in "abc"}
    run.settle()
    run.rename_zones({"a": "x", "b": "y", "c": "z"})
    assert live(run, evicting=True) == 3
    run.settle()
    if slices == 2:
        assert run.ready() == {"x": 1, "y": 1, "z": 1}
        assert run.budgets == {"x": 1, "y": 1, "z": 1}
    else:
        message = run.condition("CapacityAvailable")["message"]
        assert "workers of zone a, b, c, which the pool is leaving, hold 3" in message
        assert "Lower spec.replicas to 2" in message


def test_where_no_slice_is_spare_a_smaller_pool_moves_worker_by_worker() -> None:
    run = Simulation(make_pool(replicas=3))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 1) for zone in "abc"}
    run.settle()
    run.rename_zones({"a": "x", "b": "y", "c": "z"})
    run.settle()
    run.pool = changed(run.pool, replicas=2)
    assert live(run, 120) >= 2
    assert set(run.ready()) <= {"x", "y", "z"}


def test_narrowed_zones_keep_the_budget_of_the_others_until_their_workers_are_gone() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    run.pool = changed(run.pool, zones={"names": ["c"], "minAvailable": 1})
    run.operate()
    assert run.budgets == {"a": 1, "b": 1, "c": 1}
    assert live(run, evicting=True) >= 1
    run.settle()
    assert len(set(run.budgets) - {"c"}) == 1, "zone c has two slices, so one worker stays where it is"
    run.nodes["node-c"] = make_node("node-c", "c", 3)
    run.settle()
    assert (run.ready(), run.budgets) == ({"c": 3}, {"c": 1})


def test_a_drain_in_a_zone_that_is_leaving_says_what_it_waits_for() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    run.nodes["node-c"] = make_node("node-c", "c", 1)
    run.pool = changed(run.pool, zones={"names": ["c"], "minAvailable": 1})
    run.nodes["node-a"] = replace(run.nodes["node-a"], cordoned=True)
    run.settle()
    assert not run.evict("node-a")
    assert "zone a is leaving the pool" in run.condition("DrainBlocked")["message"]


def test_a_pool_without_workers_has_no_budget_in_zones_that_leave_either() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.pool = changed(run.pool, zones={"names": ["c"]}, suspend=True)
    run.settle()
    assert (run.pods, run.budgets) == ({}, {})


@pytest.mark.parametrize(("least", "floors"), [(None, {"a": 1, "b": 1}), (2, {"a": 2, "b": 2}), (0, {"a": 0, "b": 0})])
def test_a_zone_that_leaves_keeps_the_floor_that_the_spec_names(least: int | None, floors: dict[str, int]) -> None:
    pool = make_pool(zones={} if least is None else {"minAvailable": least})
    target = ZoneTarget("a", desired=2, floor=1 if least is None else least)
    assert budget_floors(pool.spec, (target,), {"a": 2, "b": 3, "gone": 0}) == floors


def unhealthy(run: Simulation, zones: str, *, dead: bool = False) -> None:
    for pod in list(run.pods.values()):
        if pod.zone in zones:
            run.report_unhealthy(pod, dead=dead)


def test_a_dead_worker_is_replaced_on_another_device() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    victim = next(pod for pod in run.pods.values() if pod.zone == "a")
    run.report_unhealthy(victim, dead=True)
    assert [item.name for item in run.operate().deletions] == [victim.name]
    run.settle()
    assert victim.name not in run.pods
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_a_worker_that_answers_on_an_unhealthy_device_goes_after_its_replacement_serves() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.nodes["node-a2"] = make_node("node-a2", "a", 1)
    victim = next(pod for pod in run.pods.values() if pod.zone == "a")
    run.report_unhealthy(victim, dead=False)
    run.operate()
    assert "is reported unhealthy, and the worker still answers" in run.condition("Degraded")["message"]
    assert live(run) == 3
    run.settle()
    assert victim.name not in run.pods
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("withdrawn_late", [False, True])
@pytest.mark.parametrize("floor", [0, 1])
def test_the_other_slice_of_its_node_is_free_only_once_the_worker_on_the_unhealthy_device_is_gone(
    floor: int, withdrawn_late: bool
) -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": floor}))
    run.settle()
    victim = next(pod for pod in run.pods.values() if pod.zone == "a")
    offer = run.nodes[str(victim.node)]
    run.report_unhealthy(victim, dead=False)
    if withdrawn_late:  # the operator asks for a surge, and the scheduler comes too late for it
        withdrawn, run.nodes[offer.name] = run.nodes[offer.name], offer
        run.operate()
        assert run.deployments[f"chat-a-{victim.revision}"].replicas == 2
        run.nodes[offer.name] = withdrawn
    assert live(run, 40) >= 2
    run.settle()
    assert run.ready() == {"a": 1, "b": 1, "c": 1}
    assert (victim.name in run.pods) == (floor == 1)
    assert [pod.name for pod in run.pods.values() if pod.node is None] == []
    assert run.condition("CapacityAvailable")["status"] == "True"
    assert ("counts against the slices" in run.condition("Degraded")["message"]) == (floor == 1)


@pytest.mark.parametrize("floor", [None, 1, 2])
@pytest.mark.parametrize("replicas", [3, 6])
def test_a_false_alarm_on_all_devices_empties_nothing(floor: int | None, replicas: int) -> None:
    run = Simulation(make_pool(replicas=replicas, zones={} if floor is None else {"minAvailable": floor}))
    run.settle()
    unhealthy(run, "abc")
    run.nodes = {name: replace(node, allocatable={MIG: 0}) for name, node in run.nodes.items()}
    live(run, evicting=True)
    assert all(run.ready()[zone] >= (1 if floor is None else floor) for zone in "abc")
    run.nodes = {name: replace(node, allocatable={MIG: 2}) for name, node in run.nodes.items()}
    run.pods = {name: replace(pod, device_unhealthy=False) for name, pod in run.pods.items()}
    run.settle()
    assert sum(run.ready().values()) == max(replicas, 3 * (floor or 0))
    assert run.condition("Degraded")["status"] == "False"


@pytest.mark.parametrize("floor", [0, 1])
def test_a_worker_whose_slice_would_serve_no_other_goes_on_serving(floor: int) -> None:
    run = Simulation(make_pool(replicas=6, zones={"minAvailable": floor}))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 3) for zone in "abc"}
    run.pool = changed(run.pool, replicas=9)
    run.settle()
    suspects = {pod.name for pod in run.pods.values() if pod.zone == "a"}
    unhealthy(run, "a")
    assert live(run) == 9
    assert suspects <= set(run.pods)
    assert "lower spec.zones.minAvailable" not in run.condition("Degraded")["message"], "a floor holds none of them"


def test_a_free_slice_takes_the_replacement_of_one_suspect_after_the_other() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 0}))
    run.nodes = {name: make_node(name, name[5], 1) for name in ("node-a", "node-b", "node-c")}
    run.settle()
    suspects = {pod.name for pod in run.pods.values()}
    unhealthy(run, "abc")
    run.nodes["node-a2"] = make_node("node-a2", "a", 1)
    assert live(run) == 3
    run.settle()
    assert {pod.zone for pod in run.pods.values() if pod.name not in suspects} == {"a"}, "only zone a had a slice"
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_of_suspects_beside_free_slices_that_count_as_held_one_of_the_pool_goes_at_a_time() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 0}))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 2) for zone in "abc"}
    run.settle()
    suspects = {pod.name for pod in run.pods.values()}
    unhealthy(run, "abc")
    assert live(run, 100) == 2
    run.settle()
    assert not suspects & set(run.pods)
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_of_a_zone_that_shrinks_the_worker_on_the_unhealthy_device_goes() -> None:
    run = Simulation(make_pool(replicas=6))
    run.settle()
    victim = next(pod for pod in run.pods.values() if pod.zone == "a")
    run.report_unhealthy(victim, dead=False)
    run.pool = changed(run.pool, replicas=3)
    run.settle()
    assert victim.name not in run.pods
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


EDITS = ["model", "up", "down", "suspect", "dead", "alarm", "well", "rename", "narrow", "widen", "cordon", "uncordon"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    start=st.integers(1, 7),
    floor=st.one_of(st.none(), st.integers(1, 2)),
    edits=st.lists(st.sampled_from(EDITS), max_size=6),
)
@example(seed=0, slices=[1, 1, 1], start=1, floor=None, edits=["model", "suspect"])
@example(seed=0, slices=[1, 1, 2], start=1, floor=None, edits=["model", "rename"])
def test_no_mishap_and_no_eviction_empties_a_pool(
    seed: int, slices: list[int], start: int, floor: int | None, edits: list[str]
) -> None:
    zones = {} if floor is None else {"minAvailable": floor}
    run = Simulation(make_pool(replicas=start, zones=zones))
    run.random.seed(seed)
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    run.settle(1500)
    for edit in edits:
        happen(run, edit, zones)
        for _ in range(run.random.randrange(40)):
            before = sum(run.ready().values())
            run.operate()
            evict_all(run)
            assert sum(run.ready().values()) > 0 or before == 0
            run.tick()


def happen(run: Simulation, edit: str, zones: dict[str, int]) -> None:
    count, serving = run.pool.spec.replicas or 1, [pod for pod in run.pods.values() if pod.serving]
    some = run.random.choice(sorted(run.nodes))
    match edit:
        case "model":
            run.pool = changed(run.pool, model=OTHER)
        case "up" | "down":
            run.pool = changed(run.pool, replicas=max(1, count + (2 if edit == "up" else -2)))
        case "suspect" if serving:
            run.report_unhealthy(run.random.choice(serving), dead=False)
        case "dead" if len(serving) > 1:
            run.report_unhealthy(run.random.choice(serving), dead=True)
        case "alarm":
            for pod in serving:
                run.report_unhealthy(pod, dead=False)
        case "well":
            run.pods = {name: replace(pod, device_unhealthy=False) for name, pod in run.pods.items()}
            run.nodes = {name: replace(node, allocatable={MIG: 3}) for name, node in run.nodes.items()}
        case "rename":
            run.rename_zones(dict(zip("abcxyz", "xyzabc", strict=True)))
        case "narrow" | "widen":
            there = sorted({node.zone for node in run.nodes.values()})
            names = {"names": there[:1]} if edit == "narrow" else {}
            run.pool = changed(run.pool, zones={**zones, **names})
        case "cordon" | "uncordon":
            run.nodes[some] = replace(run.nodes[some], cordoned=edit == "cordon")
