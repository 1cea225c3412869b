"""Rollouts judged by what a gateway counts, told as stories on a simulated cluster."""

from __future__ import annotations

import re

import pytest
from counting import Quality
from judged import LIMITS, ask, judged, phase, runs, until, wanted
from simulation import changed


def test_a_good_canary_is_promoted_and_serves_alone_in_the_end() -> None:
    run = judged()
    until(run, "Analysing")
    assert run.status["rollout"]["weight"] == 5
    took = until(run, "Promoting")
    assert took >= 60
    assert "good enough: " in run.status["rollout"]["message"]
    until(run, "Idle")
    runs(run, 3)
    assert run.condition("RolloutProgressing") == {}
    assert {pod.revision for pod in run.pods.values() if pod.serving} == {wanted(run)}
    assert run.gateway is not None
    assert run.gateway.weights == {wanted(run): 100}


def test_a_failing_canary_loses_its_requests_in_seconds_and_then_its_worker() -> None:
    run = judged(rate=200, how=Quality(failed=0.3))
    until(run, "Analysing")
    assert until(run, "RollingBack") <= 6
    assert run.status["rollout"]["abortReason"] == "TooManyErrors"
    message = run.status["rollout"]["message"]
    assert re.search(r"too many failures: \d+ of \d+ requests failed \(maxErrors 1%\), ", message)
    assert re.search(r"evidence \S+, that it is worse than stable \S+, and 250 aborts", message)
    bad = wanted(run)
    assert run.gateway is not None
    runs(run, 2)
    assert run.gateway.weights[bad] == 0
    assert any(pod.revision == bad for pod in run.pods.values()), "the worker goes after the requests"
    until(run, "RolledBack")
    run.settle()
    assert run.condition("Degraded")["reason"] == "RolledBack"
    assert "maxErrors 1%" in run.condition("Degraded")["message"]
    assert not any(pod.revision == bad for pod in run.pods.values())


def test_a_slow_canary_is_given_up_for_its_latency() -> None:
    run = judged(how=Quality(slow=0.5))
    until(run, "RollingBack")
    assert run.status["rollout"]["abortReason"] == "TooSlow"
    assert "were slower than 600ms (5 % may be)" in run.status["rollout"]["message"]


def test_a_canary_without_a_latency_limit_is_judged_by_errors_alone() -> None:
    run = judged(canary={"p95": None}, how=Quality(slow=1.0))
    until(run, "Promoting")
    assert "slower" not in run.status["rollout"]["message"]


def test_with_little_traffic_the_window_is_extended_the_share_grows_and_the_words_say_how_long() -> None:
    run = judged(rate=2, canary={"minSamples": 1})
    until(run, "Analysing")
    runs(run, 30)
    verdict = run.status["rollout"]["verdict"]
    assert re.fullmatch(
        r"undecided: \d+ requests? so far, about \d+ more needed; at [\d.]+ requests/s and 25 % that takes about \d+ minutes",
        verdict["message"],
    )
    assert re.match(
        r"at [\d.]+ requests/s: a good version passes in about 1\d minutes, twice the allowed errors",
        verdict["outlook"],
    )
    runs(run, 200)
    assert run.status["rollout"]["weight"] == 25
    assert run.events.count("RolloutExtended") == 3
    until(run, "Promoting")


@pytest.mark.parametrize(
    ("then", "phase_after"), [("Hold", "Analysing"), ("Promote", "Promoting"), ("Abort", "RollingBack")]
)
def test_at_the_deadline_an_undecided_canary_is_held_promoted_or_given_up(then: str, phase_after: str) -> None:
    run = judged(rate=0.2, canary={"deadline": "5m", "onUndecided": then})
    until(run, "Analysing")
    runs(run, 310)
    told = [phase(run)] if then == "Hold" else run.phases
    assert phase_after in told
    if then == "Hold":
        progressing = run.condition("RolloutProgressing")
        assert (progressing["status"], progressing["reason"]) == ("False", "Undecided")
        assert run.events.count("RolloutUndecided") == 1
        ask(run, "promote")
        until(run, "Promoting")


def test_a_canary_that_was_undecided_is_no_longer_held_when_nothing_judges_it() -> None:
    run = judged(rate=0.2, canary={"deadline": "5m"})
    until(run, "Analysing")
    runs(run, 310)
    assert run.status["rollout"]["held"]
    run.pool = changed(run.pool, rollout={})
    until(run, "Promoting", 5)
    assert "held" not in run.status["rollout"]


def test_what_the_traffic_can_never_decide_is_said_at_the_start() -> None:
    run = judged(rate=0.2)
    until(run, "Analysing")
    runs(run, 80)
    assert run.status["rollout"]["verdict"]["outlook"].startswith("too little traffic: ")
    assert "it will be held as undecided" in run.status["rollout"]["verdict"]["outlook"]


def test_without_any_traffic_there_is_no_data_and_no_pass() -> None:
    run = judged(rate=0, canary={"deadline": "2m"})
    until(run, "Analysing")
    runs(run, 200)
    rollout = run.status["rollout"]
    assert (rollout["phase"], rollout["verdict"]["verdict"]) == ("Analysing", "NoData")
    assert "no request has come so far" in rollout["verdict"]["outlook"]
    assert "not one request of the canary" in rollout["verdict"]["message"]


@pytest.mark.parametrize("then", ["Hold", "Promote"])
def test_counters_that_cannot_be_read_never_count_as_passing(then: str) -> None:
    run = judged(canary={"deadline": "2m", "onUndecided": then})
    assert run.gateway is not None
    until(run, "Analysing")
    runs(run, 30)
    run.gateway.unreadable = True
    runs(run, 300)
    assert phase(run) == "Analysing"
    condition = run.condition("RolloutProgressing")
    assert condition["status"] == "False"
    assert "10.0.0.9:9090 cannot be read: TimeoutError" in condition["message"]
    before = run.status["rollout"]["verdict"]["canary"]["requests"]
    run.gateway.unreadable = False
    until(run, "Promoting")
    assert run.status["rollout"]["verdict"]["canary"]["requests"] > before


def test_a_gateway_that_starts_anew_voids_its_interval_only() -> None:
    run = judged(rate=10)
    assert run.gateway is not None
    until(run, "Analysing")
    runs(run, 40)
    before = run.status["rollout"]["verdict"]["canary"]["requests"]
    run.gateway.restart()
    runs(run, 12)
    assert run.status["rollout"]["verdict"]["canary"]["requests"] >= before
    until(run, "Promoting")
    counts = run.status["rollout"]["verdict"]["canary"]
    assert counts["requests"] <= sum(second.get(wanted(run), 0) for second in run.gateway.sent)


def test_another_leader_goes_on_with_the_numbers_and_counts_nothing_twice() -> None:
    run = judged(rate=4, canary={"minSamples": 200})
    assert run.gateway is not None
    until(run, "Analysing")
    for _ in range(40):
        runs(run, 7)
        run.gateway.operator_restarts()
        seen = run.status["rollout"]["verdict"]["canary"]["requests"]
        assert seen <= sum(second.get(wanted(run), 0) for second in run.gateway.sent)
    until(run, "Promoting")


def test_the_numbers_are_written_at_most_every_five_seconds_while_nothing_follows_from_them() -> None:
    run = judged(rate=1, canary={"grow": False})
    until(run, "Analysing")
    runs(run, 20)
    versions, last = 0, run.status
    for _ in range(60):
        run.operate()
        versions += run.status != last
        last = run.status
        run.tick()
    assert versions <= 13


def test_every_step_is_passed_before_the_promotion() -> None:
    steps = [{"weight": weight, "window": "30s"} for weight in (5, 25, 50)]
    run = judged(rate=100, canary={"steps": steps})
    weights = []
    for _ in range(2000):
        run.operate()
        if phase(run) == "Analysing" and run.status["rollout"].get("weight") not in weights:
            weights.append(run.status["rollout"]["weight"])
        if phase(run) == "Promoting":
            break
        run.tick()
    assert weights[0] == 5
    assert weights[-1] == 50
    assert {25, 50} <= set(weights)
    assert "step 3 of 3" in run.status["rollout"]["message"]


def test_steps_that_are_taken_away_in_mid_rollout_leave_the_last_one_to_pass() -> None:
    steps = [{"weight": weight, "window": "30s"} for weight in (5, 25, 50)]
    run = judged(rate=100, canary={"steps": steps})
    until(run, "Analysing")
    for _ in range(1000):
        runs(run, 1)
        if run.status["rollout"]["step"] == 2:
            break
    run.pool = changed(run.pool, rollout={"canary": {**LIMITS, "steps": steps[:1]}})
    run.operate()
    rollout = run.status["rollout"]
    assert (rollout["step"], rollout["steps"], rollout["weight"]) == (0, 1, 50)
    until(run, "Promoting")


def test_another_latency_limit_starts_the_counting_of_slow_requests_anew_and_forgets_no_failure() -> None:
    run = judged(rate=10, canary={"maxErrors": "50%"}, how=Quality(failed=0.2))
    until(run, "Analysing")
    runs(run, 30)
    before = run.status["rollout"]["verdict"]["canary"]
    assert before["failed"] > 0
    assert before["timed"] > 0
    run.pool = changed(run.pool, rollout={"canary": {**LIMITS, "maxErrors": "50%", "p95": "700ms"}})
    run.operate()
    verdict = run.status["rollout"]["verdict"]
    assert verdict["canary"]["timed"] == 0
    assert verdict["canary"]["failed"] >= before["failed"]
    assert verdict["canary"]["requests"] >= before["requests"]
    assert verdict["limits"]["p95"] == "700ms"


def test_the_literal_rule_decides_at_the_end_of_the_window() -> None:
    good = judged(rate=100, canary={"rule": "Plain"})
    until(good, "Promoting")
    assert "within its limits: " in good.status["rollout"]["message"]
    bad = judged(rate=100, canary={"rule": "Plain"}, how=Quality(failed=0.05))
    until(bad, "Analysing")
    assert until(bad, "RollingBack") >= 60


@pytest.mark.parametrize("leap", [-86_400, 86_400])
def test_a_clock_that_leaps_neither_passes_nor_ends_an_analysis(leap: int) -> None:
    run = judged(rate=2)
    until(run, "Analysing")
    runs(run, 20)
    run.now += leap
    runs(run, 20)
    assert phase(run) == "Analysing"
    assert not run.status["rollout"].get("held")
    assert run.status["rollout"]["verdict"]["watchedSeconds"] < 60
    until(run, "Promoting")


def test_a_canary_that_breaches_what_stable_breaches_too_is_not_given_up() -> None:
    run = judged(rate=40, how=Quality(failed=0.05))
    assert run.gateway is not None
    run.gateway.quality[run.status["revisions"]["stable"]] = Quality(failed=0.05)
    until(run, "Analysing")
    runs(run, 200)
    assert phase(run) == "Analysing"


def test_a_worker_that_goes_away_in_mid_analysis_takes_its_requests_with_it_and_comes_back() -> None:
    run = judged(rate=10, canary={"minSamples": 500})
    assert run.gateway is not None
    until(run, "Analysing")
    runs(run, 30)
    seen = run.status["rollout"]["verdict"]["canary"]["requests"]
    run.broken.add(wanted(run))
    for name in [name for name, pod in run.pods.items() if pod.revision == wanted(run)]:
        del run.pods[name]
    until(run, "Warming")
    runs(run, 2)
    assert run.gateway.weights[wanted(run)] == 0
    run.broken.clear()
    until(run, "Analysing")
    assert run.status["rollout"]["verdict"]["canary"]["requests"] >= seen
    until(run, "Promoting")
