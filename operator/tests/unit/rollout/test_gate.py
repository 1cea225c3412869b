"""The gate's promises, where they can be computed exactly, and its verdicts in words."""

from __future__ import annotations

from dataclasses import replace
from math import comb, exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.pool.rollout.evidence import (
    ODDS,
    log_evidence_above,
    log_evidence_below,
    log_ratios_likelier,
    log_ratios_worse,
    wald_bound,
)
from slicewise.pool.rollout.gate import ERRORS, LATENCY, LEFT, REFUSALS, Policy, Verdict, assess, to_abort
from slicewise.pool.rollout.tally import Samples, Tally

NOTHING = Samples()


def seen(requests: int, *, failed: int = 0, slow: int = 0) -> Samples:
    return Samples(requests=requests, failed=failed, timed=requests, slow=slow, settled=requests, settled_here=requests)


def after(canary: Samples, stable: Samples = NOTHING) -> Tally:
    return Tally().plus(canary, stable)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("total", [1, 10, 60, 300])
def test_on_the_limit_the_evidence_has_a_mean_of_one(total: int, limit: float) -> None:
    """What makes it an e-process; below and above the limit its mean is smaller still."""
    for evidence in (log_evidence_above, log_evidence_below):
        mean = sum(
            exp(log(comb(total, bad)) + bad * log(limit) + (total - bad) * log(1 - limit) + evidence(total, bad, limit))
            for bad in range(total + 1)
        )
        assert mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize(("ours", "theirs"), [(1, 19), (5, 5), (8, 3)])
def test_between_two_alike_versions_the_comparison_has_a_mean_of_one_whatever_they_share(
    ours: int, theirs: int, share: float
) -> None:
    """So a disturbance that hits both, of any size and shape, is no evidence against the canary."""
    for index in range(len(ODDS)):
        mean = sum(
            comb(ours, a)
            * comb(theirs, b)
            * share ** (a + b)
            * (1 - share) ** (ours + theirs - a - b)
            * exp(log_ratios_worse(ours, a, theirs, b)[index])
            for a in range(ours + 1)
            for b in range(theirs + 1)
        )
        assert mean == pytest.approx(1.0, rel=1e-9)


def test_no_data_is_never_a_pass() -> None:
    assert assess(Tally(), Policy(min_samples=0), window_over=True).verdict is Verdict.NO_DATA


def test_a_version_without_a_fault_passes_when_it_is_proved_and_the_window_is_over() -> None:
    tally = after(seen(300))
    assert assess(tally, Policy(), window_over=False).verdict is Verdict.UNDECIDED
    assert assess(tally, Policy(), window_over=True).verdict is Verdict.PASS


def test_too_few_requests_are_no_verdict_however_good_they_look() -> None:
    assert assess(after(seen(31)), Policy(), window_over=True).verdict is Verdict.UNDECIDED
    assert assess(after(seen(5000)), Policy(min_samples=6000), window_over=True).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("canary", "cause"),
    [(seen(30, failed=15), "errors"), (seen(30, slow=20), "latency"), (seen(20, failed=8, slow=19), "errors")],
)
def test_a_gross_regression_fails_early_and_is_named(canary: Samples, cause: str) -> None:
    found = assess(after(canary, seen(600, failed=1, slow=12)), Policy(), window_over=False)
    assert (found.verdict, found.cause) == (Verdict.FAIL, cause)


def test_a_slow_down_that_stable_shares_is_not_held_against_the_canary() -> None:
    both = after(seen(100, slow=60), seen(1900, slow=1140))
    assert assess(both, Policy(), window_over=True).verdict is Verdict.UNDECIDED
    assert assess(both, Policy(compare_with_stable=False), window_over=True).verdict is Verdict.FAIL


def test_without_a_stable_sample_the_limit_alone_decides() -> None:
    assert assess(after(seen(100, slow=60)), Policy(), window_over=False).verdict is Verdict.FAIL


def test_the_plain_rule_is_the_literal_one() -> None:
    plain = Policy(plain=True)
    assert assess(after(seen(100, slow=6)), plain, window_over=True).cause == "latency"
    assert assess(after(seen(100, slow=5, failed=1)), plain, window_over=True).verdict is Verdict.PASS
    assert assess(after(seen(100, slow=99)), plain, window_over=False).verdict is Verdict.UNDECIDED


def test_what_is_not_judged_neither_fails_nor_holds_back() -> None:
    errors_only = Policy(judge_latency=False)
    assert assess(after(Samples(requests=400, settled=400)), errors_only, window_over=True).verdict is Verdict.PASS
    latency_only = Policy(max_errors=None)
    assert assess(after(seen(200, failed=200)), latency_only, window_over=True).verdict is Verdict.PASS


def test_jobs_alone_prove_the_errors_of_a_version_and_not_its_latency() -> None:
    ended = Samples(requests=1000, settled=1000)
    for policy in (Policy(), Policy(plain=True)):
        assert assess(after(ended), policy, window_over=True).verdict is Verdict.UNDECIDED
        assert assess(after(ended), replace(policy, judge_latency=False), window_over=True).verdict is Verdict.PASS
    running_yet = Samples(requests=1000)
    assert assess(after(running_yet), Policy(judge_latency=False), window_over=True).verdict is Verdict.UNDECIDED
    broken = Samples(requests=60, failed=60, settled=60)
    assert assess(after(broken), Policy(), window_over=False).cause == ERRORS


@pytest.mark.parametrize(
    "canary", [seen(3, failed=-1), seen(3, slow=4), Samples(requests=2, timed=-1), Samples(refused=-1)]
)
def test_counts_that_cannot_be_are_refused(canary: Samples) -> None:
    with pytest.raises(ValueError, match="no such counts"):
        after(canary)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_how_often_it_is_read_changes_nothing_in_the_limits_evidence(parts: list[tuple[int, int]]) -> None:
    pieces = [seen(total, slow=min(total, bad)) for total, bad in parts]
    step_by_step = Tally()
    for piece in pieces:
        step_by_step = step_by_step.plus(piece, NOTHING)
    at_once = after(sum(pieces, NOTHING))
    assert assess(step_by_step, Policy(), window_over=True) == assess(at_once, Policy(), window_over=True)


def test_walds_bound_is_infinite_for_a_version_on_the_limit() -> None:
    assert wald_bound(0.05, 0.05, 0.01) == inf
    assert wald_bound(0.2, 0.01, 0.005) == pytest.approx(12, abs=1)


def test_steps_share_the_risk_of_a_false_abort_for_latency_which_is_judged_anew_in_each() -> None:
    one, three = Policy(compare_with_stable=False), Policy(compare_with_stable=False, steps=3)
    slow = after(seen(40, slow=9))
    assert 250 < assess(slow, one, window_over=False).evidence.slow_above < 750, "chosen to lie between the two"
    assert assess(slow, one, window_over=False).verdict is Verdict.FAIL
    assert assess(slow, three, window_over=False).verdict is Verdict.UNDECIDED
    failing = after(seen(112, failed=7))
    assert 250 < assess(failing, one, window_over=False).evidence.failed_above < 750
    assert assess(failing, three, window_over=False).verdict is Verdict.FAIL, "one test over all steps together"


def test_the_parts_of_the_risk_add_up() -> None:
    assert sum(1 / to_abort(Policy(alpha=0.01), cause) for cause in (ERRORS, LATENCY, REFUSALS)) == pytest.approx(0.01)


# What the canary refuses


def refused(count: int, of: int) -> Samples:
    good = of - count
    return Samples(requests=good, timed=good, refused=count, settled=good, settled_here=good)


@pytest.mark.parametrize("weight", [0.05, 0.25, 0.5])
def test_a_canary_that_refuses_everything_while_stable_refuses_nothing_is_given_up_within_20_requests(
    weight: float,
) -> None:
    tally = Tally()
    found, asked = assess(tally, Policy(), window_over=False), 0
    while found.verdict is not Verdict.FAIL and asked < 20:
        asked += 1
        tally = tally.plus(refused(1, 1), refused(0, round((1 - weight) / weight)), weight)
        found = assess(tally, Policy(), window_over=False)
    assert (found.verdict, found.cause) == (Verdict.FAIL, REFUSALS)
    assert asked <= {0.05: 5, 0.25: 8, 0.5: 13}[weight]


def test_a_canary_that_refuses_half_of_all_while_the_rest_is_fine_is_given_up_and_not_promoted() -> None:
    """Chat is refused, completions are answered."""
    tally = Tally()
    found, asked = assess(tally, Policy(), window_over=True), 0
    while found.verdict not in {Verdict.FAIL, Verdict.PASS}:
        asked += 1
        tally = tally.plus(refused(asked % 2, 1), refused(0, 3), 0.25)
        found = assess(tally, Policy(), window_over=True)
    assert (found.cause, asked <= 20) == (REFUSALS, True)


@pytest.mark.parametrize("plain", [True, False])
def test_refusals_are_never_a_pass_and_never_no_request(plain: bool) -> None:
    alone = after(refused(500, 500))
    assert assess(alone, Policy(plain=plain), window_over=True).verdict is Verdict.NO_DATA
    beside = Tally().plus(refused(100, 200), refused(0, 3800), 0.05)
    found = assess(beside, Policy(plain=plain), window_over=True)
    assert (found.verdict, found.cause) == (Verdict.FAIL, REFUSALS)


def test_what_clients_make_wrong_at_both_versions_alike_is_no_evidence() -> None:
    both = Tally().plus(refused(10, 100), refused(190, 1900), 0.05)
    assert assess(both, Policy(), window_over=False).verdict is Verdict.UNDECIDED
    assert assess(both, Policy(), window_over=False).evidence.refused_more < 10


def test_without_stable_traffic_nothing_is_said_of_refusals() -> None:
    found = assess(after(refused(90, 100)), Policy(), window_over=True)
    assert (found.verdict, found.evidence.refused_more) == (Verdict.UNDECIDED, 1.0)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.75])
@pytest.mark.parametrize("bad", [1, 4, 12])
def test_between_two_alike_versions_the_likelier_one_has_a_mean_of_one_at_most(bad: int, share: float) -> None:
    """Whatever comes before or after: which version a bad request went to was drawn when it began."""
    for index in range(len(ODDS)):
        for truth, exactly in ((share, True), (share / 2, False)):
            mean = sum(
                comb(bad, ours)
                * truth**ours
                * (1 - truth) ** (bad - ours)
                * exp(log_ratios_likelier(ours, bad - ours, share)[index])
                for ours in range(bad + 1)
            )
            assert mean == pytest.approx(1.0, rel=1e-9) if exactly else mean < 1.0


# What runs, what is left, what has not settled


def test_fast_failures_are_held_against_all_that_was_begun_not_against_what_ended_first() -> None:
    """Answers take a minute, failures a moment: five of a thousand are within the limit."""
    tally = after(Samples(requests=1000, failed=5))
    assert assess(tally, Policy(compare_with_stable=False), window_over=False).verdict is Verdict.UNDECIDED


def test_a_pass_rests_on_requests_that_began_longer_ago_than_the_limit() -> None:
    young = after(Samples(requests=5000, timed=4000, settled=0, settled_here=0))
    assert assess(young, Policy(), window_over=True).verdict is Verdict.UNDECIDED


def test_what_still_runs_beyond_the_limit_holds_a_pass_back_and_aborts_nothing() -> None:
    tally = after(seen(1000, failed=1, slow=10), seen(9000))
    assert assess(tally, Policy(), window_over=True).verdict is Verdict.PASS
    found = assess(tally, Policy(), window_over=True, pending=30)
    assert found.verdict is Verdict.UNDECIDED


def test_a_canary_that_clients_leave_more_than_stable_does_not_pass() -> None:
    good = Samples(requests=900, timed=900, settled=900, settled_here=900)
    tally = Tally().plus(replace(good, left=100), replace(good, requests=17100, left=100), 0.05)
    found = assess(tally, Policy(), window_over=True)
    assert (found.verdict, found.cause) == (Verdict.UNDECIDED, LEFT)


def test_the_next_step_begins_with_what_is_known_of_failures_and_refusals_but_not_of_latency() -> None:
    first = Tally().plus(
        replace(seen(200, failed=3, slow=9), refused=4, left=2), replace(seen(800, slow=3), refused=1), 0.2
    )
    then = first.at_next_step()
    kept = ("requests", "failed", "refused", "left", "settled")
    assert [getattr(then.canary, name) for name in kept] == [200, 3, 4, 2, 200]
    assert (then.canary.timed, then.canary.slow, then.canary.settled_here) == (0, 0, 0)
    assert then.failed_ratios == first.failed_ratios
    assert then.refused_ratios == first.refused_ratios
    assert set(then.slow_ratios) == {0.0}
