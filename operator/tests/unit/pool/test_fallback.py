"""The CPU fallback: when it is asked for, what its Deployment then is, and what the status says of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.pool.fallback import (
    BACK_SECONDS,
    GONE_SECONDS,
    REST_SECONDS,
    FallbackState,
    advance,
    read_fallback,
    write_fallback,
)

CPU: dict[str, Any] = {"cores": "2", "memory": "4Gi", "replicas": 2}
T = 1_000_000.0


def stored(state: FallbackState) -> FallbackState:
    """What the next pass reads."""
    return read_fallback(PoolStatus(fallback=write_fallback(state)))


def look(state: FallbackState, now: float, serves: bool, *, wanted: bool = True) -> FallbackState:
    return stored(advance(state, serves=serves, wanted=wanted, now=now))


def active_at(moments: dict[float, bool], state: FallbackState | None = None) -> dict[float, bool]:
    """Moment → whether the fallback is active after the look. `moments`: moment → whether a slice serves then."""
    found, state = {}, state or FallbackState()
    for now, serves in moments.items():
        state = look(state, now, serves)
        found[now] = state.active
    return found


def test_it_is_asked_for_once_no_slice_has_served_for_the_stated_time() -> None:
    seen = active_at({T: True, T + 1: False, T + GONE_SECONDS: False, T + 1 + GONE_SECONDS: False})
    assert list(seen.values()) == [False, False, False, True]


def test_a_slice_that_serves_in_between_begins_the_time_again() -> None:
    seen = active_at({T: False, T + 14: True, T + 16: False, T + 30: False, T + 31: False})
    assert list(seen.values()) == [False, False, False, False, True]


def test_it_ends_once_slices_have_served_for_a_minute_and_not_while_they_come_and_go() -> None:
    active = FallbackState(active=True, switched_at=T - 1000)
    seen = active_at({T: True, T + 59: False, T + 60: True, T + 119: True, T + 120: True}, active)
    assert list(seen.values()) == [True, True, True, True, False]


def test_a_pool_that_has_no_workers_on_purpose_has_no_fallback_at_once() -> None:
    active = FallbackState(active=True, switched_at=T - 5)
    ended = look(active, T, serves=False, wanted=False)
    assert (ended.active, ended.switched_at) == (False, T)
    # ... and a pool that has workers again waits as long as any other
    assert list(active_at({T + 20: False, T + 40: False, T + 60: False}, ended).values()) == [False, False, True]


LOOKS = st.lists(st.tuples(st.floats(0, 40), st.booleans()), min_size=1, max_size=80)


@settings(deadline=None)
@given(looks=LOOKS)
def test_there_is_at_most_one_switch_a_minute_and_each_has_its_reason(looks: list[tuple[float, bool]]) -> None:
    now, state, switches = T, FallbackState(), [T - 1e9]
    same_since, was = T, None
    for step, serves in looks:
        now += step
        if serves is not was:
            same_since, was = now, serves
        before, state = state, look(state, now, serves)
        if state.active != before.active:
            assert state.active is not serves
            assert now - same_since >= (GONE_SECONDS if state.active else BACK_SECONDS)
            assert now - switches[-1] >= REST_SECONDS
            switches.append(now)


@settings(deadline=None)
@given(looks=LOOKS, serves=st.booleans())
def test_it_is_right_a_minute_and_a_wait_after_things_came_to_rest(
    looks: list[tuple[float, bool]], serves: bool
) -> None:
    now, state = T, FallbackState()
    for step, seen in looks:
        now += step
        state = look(state, now, seen)
    state = look(state, now, serves)
    state = look(state, now + REST_SECONDS + BACK_SECONDS + 2, serves)
    assert state.active is not serves
    assert state.turning_since is None


@settings(deadline=None)
@given(looks=st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), max_size=30), serves=st.booleans())
def test_no_jump_of_the_clock_makes_it_wait_longer_than_from_now_on(
    looks: list[tuple[float, bool]], serves: bool
) -> None:
    now, state = 2 * T, FallbackState()
    for jump, seen in looks:
        now = max(0.0, now + jump)
        state = look(state, now, seen)
    state = look(state, now, serves)
    state = look(state, now + REST_SECONDS + BACK_SECONDS + 4, serves)
    assert state.active is not serves


@settings(deadline=None)
@given(times=st.lists(st.one_of(st.none(), st.text(max_size=25), st.integers(), st.booleans()), min_size=3, max_size=3))
def test_a_stored_state_that_cannot_be_understood_is_a_fallback_that_is_not_active_or_one_that_is(
    times: list[Any],
) -> None:
    text = {"active": times[0], "switchedAt": times[1], "turningSince": times[2]}
    state = read_fallback(PoolStatus.read({"fallback": text}))
    assert isinstance(look(state, T, serves=False), FallbackState)
