"""What counts for and against a canary besides failures and slow answers: refusals, what hangs, and the steps before."""

from __future__ import annotations

import re

import pytest
from counting import Quality
from judged import judged, phase, runs, until, wanted


def test_three_steps_need_hardly_more_requests_than_one_for_what_is_known_of_failures() -> None:
    """A version without a fault: the first step proves its errors, the others their latency at a larger weight."""
    steps = [{"weight": weight, "window": "5s"} for weight in (20, 35, 50)]
    run = judged(rate=20, canary={"steps": steps, "grow": False})
    until(run, "Promoting")
    seen = run.status["rollout"]["verdict"]["canary"]
    assert seen["failed"] == 0
    assert 288 <= seen["requests"] <= 480, (
        "once for the errors, and sixty each for the latency of the second and the third"
    )
    assert seen["timed"] < 120, "of the last step"


def test_failures_of_the_first_step_are_held_against_the_canary_in_the_second() -> None:
    steps = [{"weight": weight, "window": "5s"} for weight in (20, 50)]
    run = judged(rate=50, canary={"steps": steps})
    assert run.gateway is not None
    until(run, "Analysing")
    for _ in range(200):
        runs(run, 1)
        if run.status["rollout"].get("step") == 1:
            break
    before = run.status["rollout"]["verdict"]["canary"]["requests"]
    assert before >= 288
    run.gateway.quality[wanted(run)] = Quality(failed=0.5)
    until(run, "RollingBack")
    seen = run.status["rollout"]["verdict"]["canary"]
    assert seen["requests"] >= before
    assert run.status["rollout"]["abortReason"] == "TooManyErrors"


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("rule", ["Sequential", "Plain"])
def test_a_canary_that_refuses_what_stable_serves_is_given_up_within_20_requests(share: float, rule: str) -> None:
    """The name of its model is another one, or it cannot render a chat, while completions work."""
    steps = [{"weight": 25, "window": "20s"}]
    run = judged(rate=4, canary={"maxErrors": "2%", "steps": steps, "rule": rule}, how=Quality(refused=share))
    until(run, "RollingBack")
    rollout = run.status["rollout"]
    assert rollout["abortReason"] == "RefusesRequests"
    seen = rollout["verdict"]["canary"]
    assert 0 < seen["refused"] <= seen["refused"] + max(0, seen["requests"]) <= 20
    assert rollout["message"].startswith("step 1 of 1 at 25 %: "), "no larger weight meanwhile"
    assert re.search(
        r"too many refusals: \d+ of \d+ requests refused \(4xx\) by it, 0 of \d+ requests", rollout["message"]
    )


def test_refusals_without_stable_traffic_decide_nothing_raise_no_share_and_are_said_to_be_that() -> None:
    run = judged(rate=1, how=Quality(refused=1.0), canary={"deadline": "3m"})
    assert run.gateway is not None
    until(run, "Analysing")
    run.gateway.only = wanted(run)
    runs(run, 200)
    rollout = run.status["rollout"]
    assert (rollout["phase"], rollout["weight"], rollout["verdict"]["verdict"]) == ("Analysing", 5, "NoData")
    assert "not one request" not in rollout["message"]
    assert re.search(
        r"all \d+ requests of the canary .* were counted out: \d+ refused by it \(4xx\); no request of stable to compare it with",
        rollout["message"],
    )


@pytest.mark.parametrize("seed", range(2))
def test_what_clients_make_wrong_at_both_alike_does_not_keep_a_good_canary_back(seed: int) -> None:
    run = judged(rate=60, how=Quality(refused=0.2))
    assert run.gateway is not None
    run.gateway.random.seed(seed)
    run.gateway.quality[run.status["revisions"]["stable"]] = Quality(refused=0.2)
    until(run, "Promoting")
    assert "refused by it (4xx)" in run.status["rollout"]["message"]


def test_a_canary_of_which_answers_hang_does_not_pass_though_none_has_ended() -> None:
    """One in thirty: within what may be slow, but nobody knows what becomes of them, and one in a hundred may fail."""
    run = judged(rate=100, how=Quality(hangs=1 / 30))
    until(run, "Analysing")
    runs(run, 150)
    assert phase(run) == "Analysing"
    assert run.status["rollout"]["verdict"]["pending"] > 0
