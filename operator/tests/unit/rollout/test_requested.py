"""What somebody asks of a rollout: promote, abort, retry, pause, resume, skip a step."""

from __future__ import annotations

import pytest
from counting import Quality
from judged import LIMITS, ask, judged, phase, runs, say, until, wanted
from simulation import OTHER, changed


def test_promote_takes_over_without_a_verdict() -> None:
    run = judged(rate=0)
    until(run, "Analysing")
    ask(run, "promote")
    assert until(run, "Promoting") <= 1
    assert run.status["rollout"]["message"] == "promoted by request"
    until(run, "Idle")


def test_promote_before_the_canary_serves_takes_over_as_soon_as_it_does() -> None:
    run = judged(rate=0)
    until(run, "Placing")
    ask(run, "promote")
    run.operate()
    assert phase(run) == "Placing"
    until(run, "Idle", 200)
    assert run.phases.count("Analysing") <= 1


@pytest.mark.parametrize("at", ["Placing", "Warming", "Analysing", "Promoting"])
def test_abort_gives_the_canary_up_in_every_phase(at: str) -> None:
    run = judged(rate=100)
    until(run, at)
    ask(run, "abort")
    until(run, "RolledBack", 400)
    assert run.status["rollout"]["abortReason"] == "AbortedByRequest"
    run.settle()
    assert wanted(run) not in {pod.revision for pod in run.pods.values()}
    assert sum(run.ready().values()) == 3


def test_retry_begins_anew_and_a_repeated_or_old_request_does_nothing() -> None:
    run = judged(rate=100, how=Quality(failed=0.5))
    assert run.gateway is not None
    until(run, "RolledBack")
    first = run.status["rollout"]["startedAt"]
    run.gateway.quality[wanted(run)] = Quality()
    ask(run, "retry")
    until(run, "Placing", 5)
    assert run.status["rollout"]["startedAt"] > first
    until(run, "Idle")
    run.settle()
    assert phase(run) == "Idle"


def test_an_abort_of_the_first_attempt_is_no_abort_of_the_second() -> None:
    run = judged(rate=100)
    until(run, "Analysing")
    ask(run, "abort")
    until(run, "RolledBack")
    stale = run.pool.metadata.annotations["slicewise.dev/rollout-request"]
    ask(run, "retry")
    until(run, "Analysing")
    say(run, stale)
    until(run, "Idle")
    assert wanted(run) == run.status["revisions"]["stable"]


def test_pause_holds_and_resume_goes_on() -> None:
    run = judged(rate=100)
    until(run, "Analysing")
    ask(run, "pause")
    runs(run, 200)
    assert phase(run) == "Analysing"
    assert run.status["rollout"]["paused"] is True
    assert run.condition("RolloutProgressing")["reason"] == "Paused"
    assert run.status["rollout"]["weight"] == 5
    ask(run, "resume")
    assert until(run, "Promoting") >= 55
    assert run.events.count("RolloutPaused") == run.events.count("RolloutResumed") == 1


def test_a_resume_does_not_undo_the_pause_of_the_spec_and_an_abort_acts_in_spite_of_it() -> None:
    run = judged(rate=100)
    until(run, "Analysing")
    run.pool = changed(run.pool, rollout={"paused": True, "canary": LIMITS})
    ask(run, "resume")
    runs(run, 100)
    assert phase(run) == "Analysing"
    ask(run, "promote")
    runs(run, 10)
    assert phase(run) == "Analysing"
    ask(run, "abort")
    until(run, "RolledBack", 60)


def test_a_canary_that_turns_out_bad_while_it_is_held_loses_its_requests_and_keeps_its_worker() -> None:
    run = judged(rate=100)
    assert run.gateway is not None
    until(run, "Analysing")
    ask(run, "pause")
    runs(run, 10)
    run.gateway.quality[wanted(run)] = Quality(failed=0.6)
    until(run, "RollingBack", 60)
    runs(run, 20)
    assert run.gateway.weights[wanted(run)] == 0
    assert any(pod.revision == wanted(run) for pod in run.pods.values())
    ask(run, "resume")
    until(run, "RolledBack", 60)


def test_a_step_is_skipped_once() -> None:
    steps = [{"weight": 5, "window": "10m"}, {"weight": 25, "window": "10m"}]
    run = judged(rate=10, canary={"steps": steps})
    until(run, "Analysing")
    ask(run, "skip-step", 0)
    runs(run, 30)
    rollout = run.status["rollout"]
    assert (phase(run), rollout["step"], rollout["weight"]) == ("Analysing", 1, 25)
    ask(run, "skip-step", 1)
    until(run, "Promoting", 3)
    assert "skipped by request" in run.status["rollout"]["message"]


def test_rubbish_does_nothing_and_is_said() -> None:
    run = judged(rate=100)
    until(run, "Analysing")
    say(run, "promote")
    run.operate()
    assert "is no request and is ignored: write <action>" in run.status["rollout"]["request"]
    assert run.events.count("RequestNotUnderstood") == 1
    assert phase(run) == "Analysing"
    ask(run, "resume")
    run.operate()
    assert "request" not in run.status["rollout"]


def test_a_request_that_names_no_attempt_is_answered_once_and_stands_in_nobodys_way() -> None:
    run = judged(rate=100, how=Quality(failed=0.5))
    say(run, "abort::")
    until(run, "RolledBack")
    runs(run, 20)
    assert run.events.count("RequestNotUnderstood") == 1
    assert "names no attempt" in run.status["rollout"]["request"]
    ask(run, "retry")
    until(run, "Analysing")
    assert "request" not in run.status["rollout"]
    say(run, "abort::")
    runs(run, 3)
    ask(run, "promote")
    until(run, "Promoting", 5)


def test_a_request_about_a_former_target_does_nothing_to_the_next() -> None:
    run = judged(rate=100)
    until(run, "Analysing")
    ask(run, "promote")
    stale = run.pool.metadata.annotations["slicewise.dev/rollout-request"]
    run.pool = changed(run.pool, model={**OTHER, "source": "https://models.example.com/c.gguf"})
    say(run, stale)
    until(run, "RollingBack", 5)
    until(run, "Analysing")
    runs(run, 10)
    assert phase(run) == "Analysing"
