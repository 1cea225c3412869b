"""Nodes that are drained or lose power, and devices that die: the floor holds, and the workers come back."""

from __future__ import annotations

import subprocess

from e2e.support.given import Given
from e2e.support.polling import eventually, patiently
from e2e.support.pool import Pool, device_of, zone_of
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

FLOORS = {"a": 1, "b": 1, "c": 1}
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", patiently(120))


def of_pool(pool: Pool) -> str:
    """Only the pool's workers are evicted: the node also has other pods, which are not what the story is about."""
    return f"--pod-selector=slicewise.dev/pool={pool.name},slicewise.dev/role=worker"


def test_a_drain_passes_by_itself_where_the_zone_has_a_free_slice(
    story: Story, given: Given, when: When, then: Then
) -> None:
    racks = given.racks(a="left", b="left", c="right")
    leaving, staying = story.nodes.in_zone("a"), story.nodes.in_zone("b")
    pool = given.a_pool("chat", replicas=2, zones=racks)
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool, node=story.nodes.in_zone("c"))
    worker = next(pod for pod in pool.workers() if zone_of(pod) == "left")
    if worker["spec"]["nodeName"] != leaving:
        leaving, staying = staying, leaving

    when.kubectl("drain", leaving, of_pool(pool), *DRAIN, within=130)
    then.is_ready(pool)
    then.has_workers(pool, left=1, right=1)
    assert {pod["spec"]["nodeName"] for pod in pool.workers() if zone_of(pod) == "left"} == {staying}
    then.says(pool, "DrainBlocked", "False", "NotBlocked")
    then.no_request_failed(load)
    then.floors_held(floors, left=1, right=1)


def test_a_drain_waits_where_no_slice_is_free_and_says_what_would_help(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", zones=given.racks(a="one", b="two"), replicas=2)
    floors = given.an_eye_on_the_floors_of(pool)
    node = story.nodes.in_zone("b")
    drain = when.kubectl_begins("drain", node, of_pool(pool), *DRAIN)
    told = then.says(pool, "DrainBlocked", "True", "NoFreeSlice", [node, "zone two", "spec.zones.minAvailable"])
    assert "floor is 1" in told["message"]
    then.event(pool, "NoFreeSlice")
    then.workers_stay(pool)
    assert drain.poll() is None, "the drain did not wait"

    # What would help is done: the zone gets a node with a free slice.
    story.nodes.put_into_rack(story.nodes.in_zone("c"), "two")
    eventually("the drain is over", lambda: _ended(drain), within=120)
    then.says(pool, "DrainBlocked", "False", "NotBlocked")
    then.is_ready(pool)
    then.has_workers(pool, one=1, two=1)
    then.floors_held(floors, one=1, two=1)


def _ended(program: subprocess.Popen[str]) -> None:
    code = program.poll()
    assert code is not None, "it runs"
    assert code == 0, program.stdout and program.stdout.read()


def test_after_a_power_cut_the_failed_left_over_is_no_worker_and_goes(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat")
    floors = given.an_eye_on_the_floors_of(pool)
    node = story.nodes.in_zone("a")
    before = {pod["metadata"]["uid"] for pod in pool.pods()}
    story.nodes.restart(node)
    then.is_ready(pool, within=150)
    then.has_workers(pool, a=1, b=1, c=1)
    then.every_worker_answers(pool)
    assert pool.status()["replicas"] == 3
    floors.stop()
    assert floors.failed, "the kubelet refused no pod after the restart: this story has not seen what it is about"
    assert set(floors.failed.values()) <= {"UnexpectedAdmissionError"}, floors.failed
    assert min(floors.fewest["b"], floors.fewest["c"]) == 1, floors.story
    stayed = {pod["metadata"]["uid"] for pod in pool.pods()} & before
    assert len(stayed) >= 2, "workers of the other zones were replaced"


def test_a_worker_whose_device_dies_is_replaced_on_another_device(
    story: Story, given: Given, when: When, then: Then
) -> None:
    # With a floor of one the worker may have to stay: it answers, and its node's other slice is free only once it is gone.
    pool = given.a_pool("chat", zones={"minAvailable": 0})
    victim = next(pod for pod in pool.workers() if zone_of(pod) == "a")
    dead = device_of(victim)
    story.nodes.devices("kill", dead)

    def replaced() -> None:
        now = [pod for pod in pool.workers() if zone_of(pod) == "a"]
        assert [pod["metadata"]["uid"] for pod in now] not in ([], [victim["metadata"]["uid"]]), "not replaced"
        assert dead not in [device_of(pod) for pod in now]

    eventually("the worker is replaced", replaced, within=90)
    then.is_ready(pool)
    then.has_workers(pool, a=1, b=1, c=1)
    then.every_worker_answers(pool)


def test_a_worker_on_a_dead_device_without_another_waits_and_says_so_until_the_device_is_back(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=6, zones={"minAvailable": 1})
    victim = next(pod for pod in pool.workers() if zone_of(pod) == "a")
    dead = device_of(victim)
    story.nodes.devices("kill", dead)
    then.says(
        pool, "CapacityAvailable", "False", "NotEnoughSlices", ["1 in zone a", "nvidia.com/mig-1g.10gb"], within=60
    )
    then.says(pool, "Ready", "False", "InsufficientCapacity")
    story.nodes.devices("heal", dead)
    then.is_ready(pool)
    then.has_workers(pool, a=2, b=2, c=2)
    then.no_device_is_held_twice(pool)
