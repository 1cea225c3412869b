"""How many workers a load makes, looked at once a second as the operator does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise.autoscaling.decision import Bounds, Decision, Why, decide
from slicewise.autoscaling.hold import CHOICES, choose_hold
from slicewise.autoscaling.target import MOST_SPARE, SPARES, Target
from slicewise.autoscaling.window import Reading, Window

TARGET = Target(2.8)
BOUNDS = Bounds(least=1, most=50, target=TARGET, cold_start=10.0)


def played(
    readings: Iterable[Reading | str], bounds: Bounds = BOUNDS, before: int | None = None, start: float = 1000.0
) -> list[Decision]:
    """Return a decision for each second. A text is a reading that failed, and why."""
    window, found = Window(), []
    for step, reading in enumerate(readings):
        now = start + step
        window = window.add_nothing(now, reading) if isinstance(reading, str) else window.add(now, reading)
        found.append(decide(bounds, window.load(now), before))
        before = found[-1].desired
    return found


def numbers(requests: Iterable[int], bounds: Bounds = BOUNDS, before: int | None = None) -> list[int]:
    """Return the desired number of each second."""
    return [one.desired for one in played(map(Reading, requests), bounds, before)]


def turns(found: list[int]) -> int:
    """Return how often the number turned from rising to falling, or back."""
    ways = [after > before for before, after in pairwise(found) if after != before]
    return sum(one != other for one, other in pairwise(ways))


def test_a_load_that_lasts_is_answered_within_two_seconds_and_held_for_five_cold_starts() -> None:
    found = numbers([2] * 60 + [28] * 60 + [2] * 80)

    assert found[59] == 1
    assert found[61] == 10
    assert found[120 + 49] == 10
    assert found[120 + 52] == 1


def test_auto_aims_at_seven_tenths_of_the_sequences() -> None:
    assert [Target.auto(4).workers(requests) for requests in (0, 1, 2, 3, 4, 5, 6, 8)] == [0, 1, 1, 2, 2, 2, 3, 3]
    assert Target.auto(1).workers(3) == 3


@given(st.integers(1, 10_000), st.integers(1, 64), st.sampled_from(SPARES))
def test_auto_has_less_spare_room_for_each_of_many_requests_and_always_some(
    requests: int, sequences: int, spare: float
) -> None:
    found = Target.auto(sequences).workers(requests, spare)

    assert requests <= found * max(sequences, 1.0)
    assert found <= Target(Target.auto(sequences).each).workers(requests)
    assert found <= Target.auto(sequences).workers(requests, MOST_SPARE)
    if sequences > 1 and requests > 100:
        assert found * sequences >= requests + min(spare * sqrt(requests), requests * 0.3 / 0.7 - 1)


def test_a_target_of_the_user_s_own_is_kept_however_many_requests_run() -> None:
    assert [Target(3.0).workers(requests) for requests in (3, 4, 300, 301)] == [1, 2, 100, 101]


def test_requests_that_are_cancelled_within_a_second_add_no_worker() -> None:
    found = numbers([2, 2, 900, 2, 2, 2, 700, 2, 2, 2, 2] * 12)

    assert set(found) == {1}


@pytest.mark.parametrize("high", [30, 45, 90, 250])
def test_a_square_wave_does_not_make_the_number_oscillate(high: int) -> None:
    """Two turns a period, however fast or slow it is; none where the load comes back within the hold."""
    periods = 12
    wave = ([20] * high + [2] * high) * periods

    found = numbers(wave)

    assert turns(found) <= 2 * periods
    if high <= 45:
        assert set(found[high:]) == {8}


def test_a_ramp_only_rises() -> None:
    found = numbers(range(100))

    assert found == sorted(found)
    assert found[-1] == 35


def test_a_load_that_comes_back_within_minutes_keeps_its_workers_and_a_rarer_one_does_not() -> None:
    often = tuple(([40] + [2] * 20) * 12)  # each 210 s
    seldom = tuple(([40] + [2] * 59) * 6)  # each 600 s

    assert choose_hold(often, TARGET, 20.0).seconds == 300.0
    assert choose_hold(seldom, TARGET, 20.0).seconds == 30.0


def test_what_waits_while_workers_start_counts_less_the_longer_it_waits() -> None:
    """Ten requests a second of 2 s each need 20 sequences (8 workers). One worker serves 4, and the rest piles up for half a minute."""
    piled = [Reading(4 + 8 * step, 8 * step, 2.0) for step in range(30)]
    unknown = [Reading(4 + 8 * step, 8 * step) for step in range(30)]

    assert played(piled)[-1].desired == 15
    assert played(unknown)[-1].desired == 50


def test_where_the_load_is_not_known_the_number_stays_and_says_why() -> None:
    found = played([*map(Reading, [28] * 60), *["the gateway does not answer"] * 600])

    assert {one.desired for one in found[2:]} == {10}
    assert (found[-1].why, found[-1].wanted) == (Why.UNKNOWN, None)


def test_a_pool_does_not_shrink_by_what_was_read_before_a_gap() -> None:
    readings = [*map(Reading, [28] * 60), *map(Reading, [1] * 45), *["away"] * 30, *map(Reading, [1] * 51)]

    found = [one.desired for one in played(readings)]

    assert set(found[2 : 60 + 45 + 30 + 50]) == {10}
    assert found[-1] == 1


def test_a_lower_bound_adds_workers_and_removes_none() -> None:
    part = [Reading(requests, trouble="worker b does not answer") for requests in [28] * 5 + [1] * 300]

    found = played(part)

    assert found[2].desired == 10
    assert found[-1].desired == 10
    assert found[-1].why is Why.UNKNOWN


def test_no_more_than_the_slices_and_never_fewer_than_are_there() -> None:
    few = Bounds(least=1, most=50, target=TARGET, cold_start=10.0, room=4)

    assert played(map(Reading, [28] * 5), few)[-1] == Decision(4, Why.ROOM, 10, 50.0)
    assert numbers([28] * 5, few, before=6)[-1] == 6


def test_more_than_the_most_says_so_and_the_least_holds() -> None:
    narrow = Bounds(least=3, most=5, target=TARGET, cold_start=5.0)

    assert played(map(Reading, [28] * 5), narrow)[-1] == Decision(5, Why.MOST, 10, 30.0)
    assert played(map(Reading, [0] * 60), narrow)[-1] == Decision(3, Why.LEAST, 0, 30.0)


def test_nothing_shrinks_while_a_rollout_moves_workers_and_more_may_come() -> None:
    moving = Bounds(least=1, most=50, target=TARGET, cold_start=5.0, may_shrink=False)

    assert set(numbers([0] * 200, moving, before=6)) == {6}
    assert numbers([28] * 5, moving, before=6)[-1] == 10


def test_a_new_leader_goes_on_from_the_number_in_the_status_and_looks_back_the_whole_hold_first() -> None:
    found = numbers([0] * 60, before=7)

    assert found[49] == 7
    assert found[51] == 1


def test_a_clock_that_does_not_go_on_or_goes_back_changes_nothing() -> None:
    window = Window().add(100.0, Reading(5)).add(101.0, Reading(5))

    assert window.add(101.0, Reading(500)) == window
    assert window.add(40.0, Reading(500)) == window
    assert window.load(40.0).requests is None


def test_a_negative_count_is_none() -> None:
    assert played([Reading(-4, -2, -1.0)] * 3)[-1].wanted == 0


def test_the_hold_is_thirty_seconds_at_least_and_ten_minutes_at_most() -> None:
    assert [choose_hold((), TARGET, cold).seconds for cold in (2.0, 10.0, 500.0, None)] == [30.0, 50.0, 600.0, 300.0]


LOADS = st.lists(st.integers(0, 400), min_size=1, max_size=90)


@settings(max_examples=60, deadline=None)
@given(LOADS, st.integers(0, 10), st.integers(0, 40), st.floats(0.5, 50), st.floats(1, 300))
def test_the_number_is_always_within_the_bounds_and_never_below_what_has_lasted(
    loads: list[int], least: int, more: int, target: float, cold: float
) -> None:
    bounds = Bounds(least=least, most=least + more, target=Target(target), cold_start=cold)
    for one, step in zip(played(map(Reading, loads), bounds), range(len(loads)), strict=True):
        assert bounds.least <= one.desired <= bounds.most
        lasted = min(loads[max(0, step - 1) : step + 1])
        assert one.desired >= min(bounds.most, Target(target).workers(lasted))


@settings(max_examples=40, deadline=None)
@given(LOADS, st.integers(0, 30))
def test_the_number_goes_down_only_after_a_hold_without_more(loads: list[int], start: int) -> None:
    found = numbers([*loads, *[0] * 55], before=start)

    for step in range(1, len(found)):
        if found[step] < found[step - 1]:
            assert step >= 50
            behind = [*loads, *[0] * 55][max(0, step - 50) : step + 1]
            assert found[step] <= max(1, TARGET.workers(max(behind)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 100), st.none()), min_size=1, max_size=90), st.integers(1, 30))
def test_failed_readings_never_remove_a_worker(loads: list[int | None], start: int) -> None:
    readings: list[Reading | str] = ["away" if load is None else Reading(load) for load in loads]
    found = [start, *(one.desired for one in played(readings, before=start))]

    for before, after, reading in zip(found, found[1:], readings, strict=False):
        assert not isinstance(reading, str) or after >= min(before, 50)


def test_one_reading_that_fails_is_no_news() -> None:
    found = played([*map(Reading, [28] * 20), "away", "away", *map(Reading, [28] * 5)])

    assert {one.why for one in found[2:]} == {Why.LOAD}


def test_what_limits_the_number_is_not_told_with_every_request() -> None:
    """A load about the greatest number crosses it each second."""
    narrow = Bounds(least=1, most=5, target=TARGET, cold_start=5.0)

    found = played(map(Reading, [14, 14, 16, 16] * 30), narrow)

    assert {one.why for one in found[8:]} == {Why.MOST}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=60))
def test_whatever_the_clock_does_the_window_keeps_its_order(steps: list[float]) -> None:
    window, now = Window(), 1000.0
    for step in steps:
        now += step
        window = window.add(now, Reading(3))
        load = window.load(now)
        assert load.requests in {None, 3}
        assert load.covered >= 0.0
        assert [when for when, _ in window.peaks] == sorted(when for when, _ in window.peaks)


def test_less_room_is_spare_where_the_load_is_even_and_workers_start_soon() -> None:
    even, rising, auto = (40,) * 60, tuple(range(60)), Target.auto(4)

    assert choose_hold(even[:59], auto, 20.0).spare == 2.0
    assert choose_hold(even, auto, 20.0).spare == 1.0
    assert choose_hold(even, auto, 61.0).spare == 2.0
    assert choose_hold((*rising, 400), auto, 20.0).spare == 2.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=360), st.floats(0.5, 50), st.floats(1, 200))
def test_a_hold_that_is_chosen_is_one_of_the_choices(history: list[int], target: float, cold: float) -> None:
    hold = choose_hold(tuple(history), Target(target), cold).seconds

    assert hold in CHOICES or 30.0 <= hold <= 600.0


def test_the_history_covers_an_hour_and_takes_a_gap_as_it_was_before() -> None:
    window = Window()
    for now in (*range(100), *range(200, 210)):
        window = window.add(float(now), Reading(7))

    assert window.history == (7,) * 20
    assert len(Window().add(0.0, Reading(1)).add(9e6, Reading(1)).history) == 360
