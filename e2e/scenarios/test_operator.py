"""The operator is killed at random moments, or is not there: what it was doing is finished, what serves goes on serving."""

from __future__ import annotations

import os
import random
import threading

import pytest
from e2e.support import pool as pools
from e2e.support.given import Given
from e2e.support.polling import STORY_SECONDS, eventually, for_a_while, patiently
from e2e.support.pool import Pool, device_of, zone_of
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

FLOORS = {"a": 1, "b": 1, "c": 1}
ABSENT_SECONDS = float(os.environ.get("SLICEWISE_ABSENT_SECONDS", "45"))


class Killer:
    """Kills all operator pods again and again, at random times; the seed is in the report when a story fails.

    Every second kill leaves a leader some seconds to act first: on a slow machine pods that are killed while they start
    never act, and a pool without an operator makes no progress.
    """

    def __init__(self, story: Story, seed: int, longest: float = 6.0) -> None:
        self._story = story
        self._random = random.Random(seed)
        self._longest = longest
        self._stop = threading.Event()
        self.kills = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        story.undo.append(self.end)

    def _run(self) -> None:
        while not self._at_a_random_time():
            if self.kills % 2:
                while not self._leads() and not self._stop.wait(0.5):
                    pass
                self._at_a_random_time()
            self.kills += self._kill()

    def _kill(self) -> bool:
        """Returns whether there was one to kill, and the API server took it."""
        try:
            return self._story.installation.kill()
        except AssertionError:
            return False

    def _at_a_random_time(self) -> bool:
        """Returns whether the end was called meanwhile."""
        return self._stop.wait(self._random.uniform(0.5, self._longest))

    def _leads(self) -> bool:
        try:
            self._story.installation.leader()
        except AssertionError:
            return False
        return True

    def end(self) -> None:
        """No more kills from now on; the operator is there again."""
        self._stop.set()
        self._thread.join()
        self._story.installation.has_pods(2)


@pytest.mark.parametrize("seed", [11])
def test_the_operator_is_killed_all_the_time_while_a_pool_is_scaled_changes_its_model_and_is_deleted(
    story: Story, given: Given, when: When, then: Then, seed: int
) -> None:
    pool = given.a_pool("chat", model=pools.model("wordy"))
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool)

    killer = Killer(story, seed)
    when.kubectl("scale", "ipool/chat", "--replicas=5")
    then.is_ready(pool, within=200)
    when.edited(pool, model=pools.model("wordy-v2"), replicas=3)
    killed = killer.kills
    eventually("three more kills during the change", lambda: _at_least(killer, killed + 3), within=60)
    killer.end()
    assert killer.kills > 3
    then.is_ready(pool, within=240)
    then.has_workers(pool, a=1, b=1, c=1)
    then.all_run(pool, pool.status()["revisions"]["stable"])
    assert len(pool.children("controllerrevisions")) == 2
    then.no_request_failed(load)
    then.floors_held(floors, **FLOORS)

    load.stop()
    killer = Killer(story, seed + 1, longest=2.0)
    when.kubectl("delete", "ipool", "chat", "--wait=false")
    again = when.applied(pools.manifest("chat"))
    eventually("two more kills", lambda: _at_least(killer, 2), within=60)
    killer.end()
    then.is_ready(again, within=180)
    when.kubectl("delete", "ipool", "chat", "--wait=false")
    story.installation.kill()
    then.nothing_is_left_of("chat")


def test_the_operator_is_killed_all_the_time_while_a_device_dies_and_a_node_is_drained(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=3, zones=given.racks(a="left", b="left", c="right"))
    killer = Killer(story, 13)
    victim = next(pod for pod in pool.workers() if zone_of(pod) == "left")
    story.nodes.devices("kill", device_of(victim))
    eventually("its worker is replaced", lambda: _gone(pool, victim["metadata"]["uid"]), within=150)
    then.is_ready(pool, within=150)

    floors = given.an_eye_on_the_floors_of(pool)
    node = next(pod for pod in pool.workers() if zone_of(pod) == "left")["spec"]["nodeName"]
    drain = ("--pod-selector=slicewise.dev/pool=chat", "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    when.kubectl("drain", node, *drain, patiently(200), within=210)
    killer.end()
    then.is_ready(pool, within=150)
    assert node not in {pod["spec"]["nodeName"] for pod in pool.workers()}
    then.no_device_is_held_twice(pool)
    then.floors_held(floors, left=1, right=1)


def _is_not(before: str, now: str) -> None:
    assert now != before


def _gone(pool: Pool, uid: str) -> None:
    assert uid not in {pod["metadata"]["uid"] for pod in pool.pods()}, "it is there"


def _at_least(killer: Killer, count: int) -> None:
    assert killer.kills >= count, f"{killer.kills} kills"


def test_the_other_replica_takes_over_when_the_leader_is_killed(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat")
    leader = story.installation.leader()
    when.leader_killed()
    when.kubectl("scale", "ipool/chat", "--replicas=4")
    then.is_ready(pool, within=60)
    eventually("another one leads", lambda: _is_not(leader, story.installation.leader()), within=60)
    story.installation.has_pods(2)


@pytest.mark.timeout(STORY_SECONDS + ABSENT_SECONDS)
def test_without_an_operator_serving_goes_on_and_a_killed_worker_comes_back(
    story: Story, given: Given, when: When, then: Then
) -> None:
    """Three quarters of a minute; an hour in `make soak` (SLICEWISE_ABSENT_SECONDS)."""
    pool = given.a_pool("chat")
    load = given.load_on(pool)
    when.operator_leaves()
    victim = next(pod for pod in pool.workers() if zone_of(pod) == "a")
    when.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
    then.has_workers(pool, a=1, b=1, c=1)

    def serves() -> None:
        assert not load.failures(), f"requests failed: {load.failures()[:5]}"
        assert set(pool.ready_by_zone()) == {"a", "b", "c"}

    for_a_while("serving goes on", serves, ABSENT_SECONDS, every=5)
    when.operator_returns()
    then.is_ready(pool, within=60)
    then.workers_stay(pool)
    then.no_request_failed(load, at_least=100)
