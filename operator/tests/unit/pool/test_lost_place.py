"""A node goes and comes back with a zone label: the canary is placed anew, nothing waits for what can be had nowhere, and words agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node, make_pool
from counting import CountingGateway
from judged import LIMITS, phase, runs, until, wanted
from simulation import OTHER, Simulation, changed


def unlabelled(replicas: int = 5, **spec: object) -> Simulation:
    """Three nodes without a zone label, two slices each; a canary is judged."""
    canary = {**LIMITS, "steps": [{"weight": 25, "window": "10m"}]}
    run = Simulation(
        make_pool(replicas=replicas, rollout={"canary": canary}, **spec),
        nodes={name: make_node(name, "") for name in ("one", "two", "three")},
        gateway=CountingGateway(10),
    )
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Analysing")
    runs(run, 20)
    return run


def canary_of(run: Simulation) -> str:
    return next(str(pod.node) for pod in run.pods.values() if pod.revision == wanted(run))


def lose(run: Simulation, node: str) -> None:
    """The node is deleted, and then its pods are collected."""
    del run.nodes[node]
    for name in [name for name, pod in run.pods.items() if pod.node == node]:
        del run.pods[name]


def test_while_a_node_is_away_one_status_does_not_contradict_itself() -> None:
    run = unlabelled(zones={"minAvailable": 4})
    lose(run, canary_of(run))
    runs(run, 30)
    assert run.condition("RolloutProgressing")["reason"] == "NoSliceToSpare"
    assert run.condition("CapacityAvailable")["reason"] == "NotEnoughSlices"
    assert "1 of 5 slices nvidia.com/mig-1g.10gb are missing" in run.condition("CapacityAvailable")["message"]
    assert run.condition("WorkersReady")["reason"] == "NotEnoughSlices"
    rollout = run.status["rollout"]
    assert (rollout["weight"], rollout["stepWeight"]) == (0, 25)
    weights = run.condition("WeightsCached")
    assert f"no worker of revision {wanted(run)} has started to fetch its weights yet; revision" in weights["message"]


@pytest.mark.parametrize("zone", ["", "x"])
def test_a_canary_that_lost_its_node_is_placed_anew_and_keeps_its_numbers(zone: str) -> None:
    run = unlabelled()
    counted = run.status["rollout"]["verdict"]["canary"]["requests"]
    name = canary_of(run)
    lose(run, name)
    runs(run, 30)
    run.nodes[name] = make_node(name, zone)
    until(run, "Analysing", 60)
    assert run.status["rollout"]["zone"] in {"", "x"}
    assert run.status["rollout"]["weight"] == 25
    assert run.status["rollout"]["verdict"]["canary"]["requests"] >= counted
    runs(run, 60)
    assert all(item["ready"] <= item["desired"] for item in run.status["zones"])
    by_zone = {item["name"]: item["desired"] for item in run.status["zones"]}
    stable = run.status["revisions"]["stable"]
    for place, count in by_zone.items():
        asked = [item.replicas for item in run.deployments.values() if (item.revision, item.zone) == (stable, place)]
        assert sum(asked) <= count, f"zone {place!r} holds {asked} of {count} for ever"


def test_a_canary_without_a_free_slice_takes_that_of_a_worker_above_the_floor() -> None:
    run = unlabelled(zones={"minAvailable": 1})
    lose(run, canary_of(run))
    until(run, "Analysing", 80)
    assert sum(pod.serving and pod.revision == wanted(run) for pod in run.pods.values()) == 1
    runs(run, 10)
    assert run.by_revision()[run.status["revisions"]["stable"]] == 3


def test_a_zone_does_not_keep_more_than_its_share_for_one_that_has_no_slice() -> None:
    run = Simulation(make_pool(replicas=4), nodes={"a": make_node("a", "a", 4)})
    run.settle()
    run.nodes["b"] = replace(make_node("b", "b", 1), tainted=True)
    run.pool = changed(run.pool, zones={"names": ["a", "b"], "minAvailable": 1})
    run.settle()
    assert {item["name"]: (item["desired"], item["ready"]) for item in run.status["zones"]} == {
        "a": (3, 3),
        "b": (1, 0),
    }
    assert run.ready() == {"a": 3}
    assert run.condition("CapacityAvailable")["reason"] == "NotEnoughSlices"


def test_a_promotion_ends_although_a_worker_can_be_had_nowhere() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    run.nodes["node-b"] = replace(run.nodes["node-b"], allocatable={"nvidia.com/mig-1g.10gb": 0})
    for name in [name for name, pod in run.pods.items() if pod.zone == "b"]:
        del run.pods[name]
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", 100)
    until(run, "Idle", 100)
    assert run.status["revisions"] == {"stable": wanted(run)}
    run.settle()
    assert run.condition("Ready")["reason"] == "InsufficientCapacity"
    assert phase(run) == "Idle"


def test_while_old_workers_terminate_the_status_says_that_it_waits_for_them() -> None:
    run = Simulation(
        make_pool(replicas=3, zones={"minAvailable": 0}),
        nodes={f"node-{z}": make_node(f"node-{z}", z, 1) for z in "abc"},
    )
    run.settle()
    run.linger = 0.8
    run.pool = changed(run.pool, model=OTHER)
    told: set[str] = set()
    for _ in range(400):
        waiting = any(pod.terminating for pod in run.pods.values())
        run.operate()
        told |= _told(run) if waiting else set()
        run.tick()
    assert any("Waiting for 1 terminating worker in zone" in text for text in told)
    assert not any("fits no node" in text or "no slice is free and no worker" in text for text in told)
    assert run.condition("Ready")["status"] == "True"


def _told(run: Simulation) -> set[str]:
    return {run.condition(kind).get("message", "") for kind in ("CapacityAvailable", "RolloutProgressing", "Ready")}
