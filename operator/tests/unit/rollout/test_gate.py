"""The gate's promises, where they can be computed exactly, and its verdicts in words."""

from __future__ import annotations

from math import comb, exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.pool.rollout.evidence import (
    ODDS,
    log_evidence_above,
    log_evidence_below,
    log_ratios_worse,
    wald_bound,
)
from slicewise.pool.rollout.gate import Policy, Samples, Tally, Verdict, assess

NOTHING = Samples()


def seen(requests: int, *, failed: int = 0, slow: int = 0) -> Samples:
    return Samples(requests=requests, failed=failed, timed=requests, slow=slow)


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
    assert assess(after(Samples(requests=400)), errors_only, window_over=True).verdict is Verdict.PASS
    latency_only = Policy(max_errors=None)
    assert assess(after(seen(200, failed=200)), latency_only, window_over=True).verdict is Verdict.PASS


@pytest.mark.parametrize("canary", [seen(-1), seen(3, failed=4), seen(3, slow=4), Samples(requests=2, timed=-1)])
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


def test_steps_share_the_risk_of_a_false_abort() -> None:
    tally = Tally(canary=Samples(112, 7, 112, 0))
    one, three = Policy(compare_with_stable=False), Policy(compare_with_stable=False, steps=3)
    evidence = assess(tally, one, window_over=False).evidence.failed_above
    assert 200 < evidence < 600, "chosen to lie between the two"
    assert assess(tally, one, window_over=False).verdict is Verdict.FAIL
    assert assess(tally, three, window_over=False).verdict is Verdict.UNDECIDED
