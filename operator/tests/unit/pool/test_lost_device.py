"""A worker whose device is lost, while the device plugin calls it healthy: another slice takes its place where one is free."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import MIG
from settled import settled
from simulation import Simulation

WORDS = "the device is lost"


def lose(run: Simulation, name: str, reason: str = "DeviceLost") -> None:
    """The worker ends for its device, whenever it is started."""
    run.dead.add(name)
    run.pods[name] = replace(
        run.pods[name],
        ready=False,
        restarts=2,
        ended_reason=reason,
        ended_message=WORDS,
        waiting_reason="CrashLoopBackOff",
    )


@pytest.mark.parametrize("reason", ["DeviceLost", "DeviceFault", "DeviceMemoryFault"])
def test_another_slice_takes_the_place_of_one_whose_device_is_lost(reason: str) -> None:
    run = settled(1, {"node-a1": 2})
    (name,) = run.pods
    lose(run, name, reason)
    run.operate()
    assert [item.replicas for item in run.deployments.values() if item.replicas] == [2]
    run.settle()
    assert name not in run.pods, "it goes once the other one serves"
    assert len(run.pods) == run.ready().total() == 1
    assert run.condition("Ready")["status"] == "True"


def test_it_keeps_its_device_until_another_worker_serves() -> None:
    run = settled(2, {"node-a1": 3})
    name = min(run.pods)
    lose(run, name)
    while run.ready().total() < 2:
        assert not run.pods[name].terminating
        run.operate()
        run.tick()
    run.settle()
    assert name not in run.pods
    assert run.ready().total() == len(run.pods) == 2


def test_without_a_free_slice_it_waits_and_the_condition_says_why() -> None:
    run = settled(2, {"node-a1": 1, "node-b1": 2}, zones={"minAvailable": 0})
    (name,) = (pod.name for pod in run.pods.values() if pod.zone == "a")
    lose(run, name)
    run.settle()
    assert name in run.pods
    told = run.condition("WorkersReady")
    assert (told["status"], told["reason"]) == ("False", "DeviceFailed")
    assert WORDS in told["message"]


def test_several_in_a_zone_are_all_replaced() -> None:
    run = settled(3, {"node-a1": 6})
    for name in sorted(run.pods)[:2]:
        lose(run, name)
    run.settle()
    assert run.ready().total() == len(run.pods) == 3


@pytest.mark.parametrize(("replicas", "most"), [(1, 2), (3, 4)])
def test_where_every_device_is_lost_one_slice_more_is_tried_and_no_other(replicas: int, most: int) -> None:
    run = settled(replicas, {"node-a1": 8})
    for _ in range(60):
        for name in [pod.name for pod in run.pods.values() if pod.ready]:
            lose(run, name)
        run.operate()
        run.tick()
        assert len(run.pods) <= most, "each slice that is tried is one that others lack"


def test_a_worker_that_comes_back_by_itself_ends_the_search() -> None:
    run = settled(1, {"node-a1": 2})
    (name,) = run.pods
    lose(run, name)
    run.operate()
    run.dead.clear()
    run.pods[name] = replace(run.pods[name], ready=True, waiting_reason=None)
    run.settle()
    assert list(run.pods) == [name]
    assert run.nodes["node-a1"].allocatable[MIG] == 2


def test_a_first_end_is_left_to_the_kubelet() -> None:
    run = settled(1, {"node-a1": 2})
    (name,) = run.pods
    run.dead.add(name)
    run.pods[name] = replace(run.pods[name], ready=False, restarts=1, ended_reason="DeviceLost")
    run.operate()
    assert [item.replicas for item in run.deployments.values() if item.replicas] == [1]
