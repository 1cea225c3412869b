"""Rollouts judged by what the gateway counts, under load: promoted, aborted, held, taken back."""

from __future__ import annotations

from e2e.support.given import Given
from e2e.support.polling import for_a_while
from e2e.support.pool import model, revision_of
from e2e.support.rollouts import all_are, ask, judged, reaches, rollout
from e2e.support.then import Then
from e2e.support.when import When

FLOORS = {"a": 1, "b": 1, "c": 1}


def test_a_good_canary_is_promoted_under_load_without_a_failed_request(given: Given, when: When, then: Then) -> None:
    pool, phases = judged(given)
    old = pool.status()["revisions"]["stable"]
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool, rate=6)
    when.edited(pool, model=model("wordy-v2"))
    passed = reaches(phases, "Promoting")
    assert passed["verdict"]["verdict"] == "Pass"
    assert passed["verdict"]["canary"]["requests"] >= 20
    assert "good enough" in then.event(pool, "RolloutPromoting")["message"]
    then.is_ready(pool, within=240)
    new = pool.status()["revisions"]["stable"]
    assert new != old
    all_are(pool, new)
    load.goes_on_for(10)
    then.no_request_failed(load, at_least=60)
    then.floors_held(floors, **FLOORS)


def test_a_failing_canary_is_given_up_and_loses_its_requests_before_its_worker(
    given: Given, when: When, then: Then
) -> None:
    """A worker that takes one request at a time and lets none wait refuses what comes meanwhile."""
    pool, phases = judged(given)
    old = pool.status()["revisions"]["stable"]
    given.load_on(pool, rate=12, tokens=128)
    when.edited(pool, model=model("wordy-slow"), engine={"parallelSequences": 1, "maxQueue": 0})
    back = reaches(phases, "RollingBack")
    bad = back["target"]
    assert back["abortReason"] == "TooManyErrors"
    assert back["verdict"]["evidence"]["failedAbove"] >= 200

    def the_worker_outlives_its_requests() -> None:
        # Looked at in this order: a worker that is gone now had lost its requests before.
        is_there = any(revision_of(pod) == bad for pod in pool.pods())
        assert is_there or not rollout(pool).get("weight"), "its worker has gone before its requests"

    for_a_while("requests go first", the_worker_outlives_its_requests, 3, every=0.1)
    reaches(phases, "RolledBack")
    all_are(pool, old)
    then.says(pool, "Degraded", "True", "RolledBack", ["maxErrors 10%"])
    then.the_endpoint_answers(pool)


def test_a_slow_canary_is_given_up_for_its_latency(given: Given, when: When, then: Then) -> None:
    pool, phases = judged(given, canary={"p95": "1s", "steps": [{"weight": 50, "window": "10s"}]})
    old = pool.status()["revisions"]["stable"]
    load = given.load_on(pool, rate=2, tokens=96)
    when.edited(pool, model=model("wordy-slow"))
    back = reaches(phases, "RollingBack", within=180)
    assert back["abortReason"] == "TooSlow"
    assert "slower than 1s" in then.event(pool, "RolloutRollingBack")["message"]
    reaches(phases, "RolledBack")
    all_are(pool, old)
    then.no_request_failed(load)


def test_too_little_traffic_extends_the_window_and_is_held_until_somebody_says(
    given: Given, when: When, then: Then
) -> None:
    pool, phases = judged(
        given, canary={"maxErrors": "0.1%", "deadline": "40s", "steps": [{"weight": 5, "window": "10s"}]}
    )
    given.load_on(pool, rate=1)
    when.edited(pool, model=model("wordy-v2"))
    reaches(phases, "Analysing")
    then.says(pool, "RolloutProgressing", "False", "Undecided", ["held"], within=120)
    now = rollout(pool)
    assert now["weight"] > 5
    assert now["verdict"]["outlook"].startswith("too little traffic")
    ask(when, pool, "promote")
    then.is_ready(pool, within=240)
    assert pool.status()["revisions"]["stable"] == now["target"]


def test_a_canary_that_the_user_takes_back_goes_without_a_failed_request(given: Given, when: When, then: Then) -> None:
    pool, phases = judged(given, canary={"deadline": "1h", "maxErrors": "0.1%"})
    old = pool.status()["revisions"]["stable"]
    load = given.load_on(pool, rate=4)
    when.edited(pool, model=model("wordy-v2"))
    reaches(phases, "Analysing")
    load.goes_on_for(20)
    when.edited(pool, model=model("wordy"))
    then.is_ready(pool, within=120)
    all_are(pool, old)
    then.no_request_failed(load)
