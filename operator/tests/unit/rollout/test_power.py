"""What the gate can tell at a traffic, held against the exact figures of `benchmarks/gate` (printed in docs/gate.md)."""

from __future__ import annotations

from math import inf

import pytest

from slicewise.pool.rollout.gate import Policy
from slicewise.pool.rollout.power import Growth, gate_power, more_to_pass, seconds_for


@pytest.mark.parametrize(
    ("max_errors", "passes", "five_times", "twice"),
    [
        (0.05, 55, 29, 307),
        (0.02, 143, 74, 791),
        (0.01, 288, 148, 1614),
        (0.005, 580, 295, 3241),
        (0.001, 2909, 1476, 16243),
    ],
)
def test_it_says_what_was_computed_exactly(max_errors: float, passes: int, five_times: int, twice: int) -> None:
    power = gate_power(10, Growth(100), Policy(max_errors=max_errors, judge_latency=False, min_samples=1))
    assert power.good_passes.requests == passes
    assert power.errors_found[5.0].requests == pytest.approx(five_times, rel=0.06)
    assert power.errors_found[2.0].requests == pytest.approx(twice, rel=0.06)
    assert power.slow_found == {}


def test_a_latency_limit_alone_is_decided_sooner_than_errors_are() -> None:
    power = gate_power(10, Growth(100), Policy(max_errors=None))
    assert power.good_passes.requests == 60, "the fewest samples"
    assert power.errors_found == {}
    assert power.slow_found[5.0].requests < 40


def test_a_growing_weight_is_waited_for_window_by_window() -> None:
    growth = Growth(weight=5, window=60, most=25)
    # 3, 6 and 12 requests in the first three minutes, then a quarter of all.
    assert seconds_for(3, 1, growth) == 60
    assert seconds_for(21, 1, growth) == 180
    assert seconds_for(22, 1, growth) == 184
    assert seconds_for(10, 1, Growth(5)) == 200
    assert seconds_for(0, 0, growth) == 0
    assert seconds_for(1, 0, growth) == inf


@pytest.mark.parametrize(("rate", "minutes"), [(1, 22), (2, 12), (10, 4), (40, 2), (200, 1)])
def test_the_times_are_those_of_the_played_rollouts(rate: float, minutes: int) -> None:
    seconds = gate_power(rate, Growth(5, 60, 25), Policy()).good_passes.seconds
    assert seconds == pytest.approx(60 * minutes, rel=0.2)


def test_what_is_still_needed_follows_what_was_counted() -> None:
    policy = Policy()
    assert more_to_pass(0, 0, 0, 0, policy) == 288
    assert more_to_pass(31, 0, 31, 0, policy) == 257
    assert more_to_pass(288, 0, 288, 0, policy) == 0
    assert more_to_pass(300, 2, 300, 3, policy) > 100
    assert more_to_pass(300, 0, 20, 0, policy) == 40, "answers whose time is known are as few"
    assert more_to_pass(10_000, 9_000, 10_000, 0, policy) == inf


def test_the_literal_rule_waits_for_the_fewest_samples_and_its_window() -> None:
    power = gate_power(10, Growth(5, 60), Policy(plain=True))
    assert power.good_passes.requests == 60
    assert power.good_passes.seconds == 120
