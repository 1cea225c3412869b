"""What the figures of the gate rest on: that their faster forms are the gate, count by count; and the promises themselves, exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.gate import plot
from benchmarks.gate.chain import course, edges, ever_at_least, ever_at_most, median, settled
from benchmarks.gate.compare import log_ratios
from benchmarks.gate.scenarios import FAILING, GOOD, INSIDE, SLOW, TWICE_FAILED, TWICE_SLOW, Scenario
from benchmarks.gate.simulate import Setting, simulate, steady

from slicewise.pool.rollout.evidence import log_ratios_worse
from slicewise.pool.rollout.gate import Policy, Verdict, assess
from slicewise.pool.rollout.tally import Tally

VERDICTS = {Verdict.PASS: 1, Verdict.FAIL: -1, Verdict.UNDECIDED: 0, Verdict.NO_DATA: 0}
ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("seed", range(4))
def test_the_comparison_for_many_is_the_gates_own(seed: int) -> None:
    draw = np.random.default_rng(seed)
    total, other = draw.integers(0, 60, 200), draw.integers(0, 900, 200)
    bad, other_bad = draw.binomial(total, draw.random(200)), draw.binomial(other, draw.random(200))
    expected = [log_ratios_worse(*map(int, quad)) for quad in zip(total, bad, other, other_bad, strict=True)]
    assert log_ratios(total, bad, other, other_bad) == pytest.approx(np.array(expected), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize(("bad", "other_bad"), [(100_000, 100_000), (500, 200_000), (0, 1), (200_000, 0)])
def test_the_comparison_of_many_requests_is_exact(bad: int, other_bad: int) -> None:
    total = 200_000
    expected = log_ratios(*(np.array([count]) for count in (total, bad, total, other_bad)))[0]
    assert log_ratios_worse(total, bad, total, other_bad) == pytest.approx(expected, rel=1e-9, abs=1e-4)


@pytest.mark.parametrize("requests", [1, 7, 60, 299, 1500])
def test_the_edges_are_where_the_verdict_turns(requests: int) -> None:
    policy = Policy(min_samples=1, compare_with_stable=False)
    slow, failed = edges("slow", 1500), edges("failed", 1500)

    def verdict(bad_slow: int, bad_failed: int) -> Verdict:
        bad_slow, bad_failed = (min(requests, max(0, bad)) for bad in (bad_slow, bad_failed))
        return assess(Tally(settled(requests, bad_failed, bad_slow)), policy, window_over=True).verdict

    most_slow, most_failed = int(slow.passes[requests]), int(failed.passes[requests])
    passes = most_slow >= 0 and most_failed >= 0
    assert (verdict(most_slow, most_failed) is Verdict.PASS) is passes
    assert verdict(most_slow + 1, 0) is not Verdict.PASS
    assert verdict(0, most_failed + 1) is not Verdict.PASS
    for share, bad in (("slow", int(slow.aborts[requests])), ("failed", int(failed.aborts[requests]))):
        if bad <= requests:
            assert verdict(*((bad, 0) if share == "slow" else (0, bad))) is Verdict.FAIL
        assert verdict(*((bad - 1, 0) if share == "slow" else (0, bad - 1))) is not Verdict.FAIL


@pytest.mark.parametrize("scenario", [GOOD, SLOW[1], FAILING[0]])
@pytest.mark.parametrize("compare", [True, False])
def test_a_played_rollout_ends_as_the_gate_itself_ends_it(scenario: Scenario, compare: bool) -> None:
    """The same counts, second by second, through `Tally` and `assess`."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    policy, rollouts = Policy(compare_with_stable=compare), 12
    setting = Setting(60, deadline=150, window=30, horizon=3000)
    simulated = simulate(steady(scenario, INSIDE[1]), setting, policy, rollouts, np.random.default_rng(5), seen.append)
    for one in range(rollouts):
        tally = Tally()
        verdict, second, weight = 0, setting.deadline, setting.weight
        for now, (alive, counts) in enumerate(seen, 1):
            requests, slow, failed, others, other_slow, other_failed = map(int, counts[:, list(alive).index(one)])
            tally = tally.plus(settled(requests, failed, slow), settled(others, other_failed, other_slow), weight)
            verdict = VERDICTS[assess(tally, policy, window_over=now >= setting.window).verdict]
            if verdict:
                second = now
                break
            if now % setting.window == 0:
                weight = min(setting.highest_weight, 2 * weight)
        assert (simulated.verdict[one], simulated.seconds[one]) == (verdict, second)
        assert simulated.requests[one] == tally.canary.requests


@pytest.mark.parametrize("scenario", INSIDE)
def test_a_version_within_its_limits_is_aborted_in_at_most_one_rollout_of_a_hundred(scenario: Scenario) -> None:
    slow = ever_at_least(scenario.slow, edges("slow", 5000).aborts)[-1]
    failed = ever_at_least(scenario.failed, edges("failed", 5000).aborts)[-1]
    assert 1 - (1 - slow) * (1 - failed) <= 0.01


def test_a_version_twice_as_bad_is_promoted_in_at_most_one_rollout_of_a_hundred() -> None:
    assert ever_at_most(TWICE_SLOW.slow, edges("slow", 5000).passes)[-1] <= 0.01
    assert ever_at_most(TWICE_FAILED.failed, edges("failed", 5000).passes)[-1] <= 0.01


def test_a_good_version_is_promoted_after_at_most_300_requests_in_the_median() -> None:
    assert median(course(GOOD, edges("slow", 1500), edges("failed", 1500), 60).passed) <= 300


def test_the_chances_are_those_of_every_path_counted() -> None:
    """Against all 2^12 paths of twelve requests."""
    edge = np.array([1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5])
    share, reached = 0.3, 0.0
    for path in range(2**12):
        bits = [path >> place & 1 for place in range(12)]
        if any(sum(bits[:n]) >= edge[n] for n in range(1, 13)):
            reached += share ** sum(bits) * (1 - share) ** (12 - sum(bits))
    assert ever_at_least(share, edge)[-1] == pytest.approx(reached, rel=1e-12)


def test_the_picture_in_the_documents_is_the_one_that_the_code_draws() -> None:
    assert (ROOT / plot.PATH).read_text() == plot.draw()
