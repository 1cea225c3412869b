"""When a memory is under pressure: above the limit for long enough, and no longer only well below it. What is planned does not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.health.pressure import Memory, Pressure, PressureLimit, describe, weigh

LIMIT = PressureLimit(0.8, 3)


def after(*readings: tuple[float, float | None], limit: PressureLimit = LIMIT) -> list[bool]:
    """Return what is said after each of `readings`: time, and bytes in use of 1,000."""
    known, said = Pressure(), []
    for now, used in readings:
        known = weigh(known, None if used is None else Memory(int(used), 1000), limit, now)
        said.append(known.high)
    return said


def test_above_the_limit_for_long_enough_and_not_before() -> None:
    assert after((0, 801), (1, 900), (2.9, 900), (3, 801)) == [False, False, False, True]
    assert after((0, 800), (100, 800)) == [False, False]


def test_a_moment_below_begins_anew() -> None:
    assert after((0, 900), (2, 700), (3, 900), (5, 900), (6, 900)) == [False, False, False, False, True]


def test_it_ends_well_below_the_limit_and_after_as_long() -> None:
    up = [(0, 900), (3, 900)]
    assert after(*up, (4, 790), (100, 721))[-1], "below the limit, and not by much"
    assert after(*up, (4, 700), (6, 700), (7, 700))[-3:] == [True, True, False]
    assert after(*up, (4, 700), (5, 790), (7, 700), (9, 700))[-1]


def test_what_cannot_be_read_changes_nothing() -> None:
    assert after((0, 900), (3, 900), (100, None)) == [False, True, True]
    assert after((0, 100), (1, None)) == [False, False]


@pytest.mark.parametrize(("ratio", "high"), [(0.5, True), (0.9, False), (1.0, False)])
def test_the_limit_is_the_pools(ratio: float, high: bool) -> None:
    assert after((0, 850), (3, 850), limit=PressureLimit(ratio, 3))[-1] is high


@pytest.mark.parametrize(("seconds", "high"), [(1, True), (10, False)])
def test_the_time_is_the_pools(seconds: float, high: bool) -> None:
    assert after((0, 850), (3, 850), limit=PressureLimit(0.8, seconds))[-1] is high


@given(total=st.integers(1, 10**12), planned=st.floats(0, 1), filled=st.floats(0, 1))
def test_a_cache_that_fills_up_within_the_plan_is_no_pressure(total: int, planned: float, filled: float) -> None:
    """However much of the memory is planned, also all of it."""
    plan = int(total * planned)
    known = weigh(Pressure(), Memory(int(plan * filled), total, plan), PressureLimit(0.01, 0), 0)
    assert not known.high


def test_what_comes_on_top_of_the_plan_is_weighed_against_what_is_left() -> None:
    assert weigh(Pressure(), Memory(979, 1000, 900), PressureLimit(0.8, 0), 0).high is False
    assert weigh(Pressure(), Memory(981, 1000, 900), PressureLimit(0.8, 0), 0).high is True


def test_the_words_have_the_numbers_the_field_and_what_helps() -> None:
    words = describe("the container's memory", Memory(990 << 20, 1000 << 20, 900 << 20), LIMIT, "give it more")
    assert (
        "990Mi of 1000Mi are taken, 900Mi were planned, and the limit is 980Mi (spec.health.memoryPressure 80% of"
        in words
    )
    assert words.endswith("give it more")
