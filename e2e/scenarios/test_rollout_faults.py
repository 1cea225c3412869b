"""Rollouts to which something happens: no start, no slice to spare, counters unseen; nodes, gateways and operators that go."""

from __future__ import annotations

from e2e.support.given import Given
from e2e.support.polling import eventually, patiently
from e2e.support.pool import Pool, model, revision_of, serves, zone_of
from e2e.support.rollouts import all_are, judged, reaches, rollout
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

FLOORS = {"a": 1, "b": 1, "c": 1}
STATS_PORT = 9090
"""Where Envoy tells its counters."""
NO_WORKER = "slicewise-operator:0.1.0"
"""An image that has no worker in it."""


def test_a_canary_that_never_gets_ready_is_given_up_and_costs_no_request(given: Given, when: When, then: Then) -> None:
    pool, phases = judged(given, progress_deadline="40s")
    old = pool.status()["revisions"]["stable"]
    load = given.load_on(pool)
    when.edited(pool, engine={"image": NO_WORKER})
    back = reaches(phases, "RollingBack", within=150)
    assert back["abortReason"] in {"CanaryCrashed", "ProgressDeadlineExceeded"}
    reaches(phases, "RolledBack")
    all_are(pool, old)
    then.says(pool, "Degraded", "True", "RolledBack")
    then.says(pool, "Ready", "False", "RolledBack", ["Change the spec"])
    then.says(pool, "WeightsCached", "True", "Cached", [old])
    then.no_request_failed(load)
    when.edited(pool, engine={"image": None})
    then.is_ready(pool)
    then.says(pool, "Degraded", "False")


def test_with_every_slice_in_use_a_stable_worker_above_the_floor_gives_way(
    given: Given, when: When, then: Then
) -> None:
    pool, phases = judged(given, replicas=6)
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool, rate=6)
    when.edited(pool, model=model("wordy-v2"))
    reaches(phases, "Analysing")
    assert sorted(pool.ready_by_zone().values()) == [2, 2, 2]
    reaches(phases, "Promoting", within=180)
    then.is_ready(pool, within=240)
    then.no_device_is_held_twice(pool)
    then.no_request_failed(load)
    then.floors_held(floors, **FLOORS)


def test_a_gateway_that_dies_and_a_node_that_is_drained_while_a_canary_is_judged_change_no_verdict(
    story: Story, given: Given, when: When, then: Then
) -> None:
    racks = given.racks(a="left", b="left", c="right")
    pool, phases = judged(given, canary={"minSamples": 90}, replicas=2, zones=racks, gateway={"replicas": 2})
    load = given.load_on(pool, rate=6, node=story.nodes.in_zone("c"))
    when.edited(pool, model=model("wordy-v2"))
    target = reaches(phases, "Analysing")["target"]
    eventually("requests are counted", lambda: _counted(pool, 5), within=60)

    victim = next(pod["metadata"]["name"] for pod in pool.gateways() if serves(pod))
    when.kubectl("delete", "pod", victim, "--wait=false")
    worker = next(pod for pod in pool.workers() if zone_of(pod) == "left" and revision_of(pod) != target)
    workers = f"--pod-selector=slicewise.dev/pool={pool.name},slicewise.dev/role=worker"
    drain = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", patiently(150))
    when.kubectl("drain", worker["spec"]["nodeName"], workers, *drain, within=160)

    reaches(phases, "Promoting", within=240)
    then.is_ready(pool, within=240)
    assert pool.status()["revisions"]["stable"] == target
    then.no_request_failed(load)


def test_counters_that_cannot_be_read_pass_nothing_and_lose_nothing(given: Given, when: When, then: Then) -> None:
    pool, phases = judged(given, canary={"minSamples": 40})
    load = given.load_on(pool, rate=6)
    when.edited(pool, model=model("wordy-v2"))
    reaches(phases, "Analysing")
    before = eventually("requests are counted", lambda: _counted(pool, 5), within=60)
    cut = when.nobody_reaches(next(pod for pod in pool.gateways() if serves(pod)), STATS_PORT)
    then.says(pool, "RolloutProgressing", "False", "NoData", ["cannot be read"])
    load.goes_on_for(160)  # more than enough to pass, had anybody seen them
    assert rollout(pool)["phase"] == "Analysing"
    cut.heal()
    passed = reaches(phases, "Promoting", within=180)
    assert passed["verdict"]["canary"]["requests"] > before
    then.is_ready(pool, within=240)
    then.no_request_failed(load)


def _counted(pool: Pool, more_than: int) -> int:
    count = int(((rollout(pool).get("verdict") or {}).get("canary") or {}).get("requests") or 0)
    assert count > more_than, f"{count} requests"
    return count


def test_a_rollout_goes_on_where_it_was_when_the_operator_is_killed_in_every_phase(
    given: Given, when: When, then: Then
) -> None:
    pool, phases = judged(given, canary={"minSamples": 60})
    old = pool.status()["revisions"]["stable"]
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool, rate=6)
    when.edited(pool, model=model("wordy-v2"))
    new = reaches(phases, "Warming")["target"]
    when.operator_killed()
    reaches(phases, "Analysing")
    before = eventually("some requests are counted", lambda: _counted(pool, 5), within=60)
    when.operator_killed()
    passed = reaches(phases, "Promoting", within=180)
    assert passed["verdict"]["canary"]["requests"] > before, "what was counted is lost"
    when.operator_killed()
    then.is_ready(pool, within=240)
    all_are(pool, new)

    when.edited(pool, model=model("wordy"))
    reaches(phases, "Analysing", within=180)
    when.edited(pool, model=model("wordy-v2"))
    reaches(phases, "RollingBack")
    when.operator_killed()
    then.is_ready(pool, within=240)
    all_are(pool, new)
    assert old != new
    then.no_request_failed(load, at_least=100)
    then.floors_held(floors, **FLOORS)
