"""Which share each revision gets, in every phase, and whoever serves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.rollout.traffic import traffic

NONE_YET = {Phase.PLACING, Phase.WARMING}


def state(phase: Phase, **fields: object) -> RolloutState:
    return RolloutState(phase=phase, stable="old", target="new", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "fields", "serving", "canary"),
    [
        (Phase.PLACING, {}, {"old": 3}, 0),
        (Phase.WARMING, {}, {"old": 3, "new": 1}, 0),
        (Phase.WARMING, {}, {"new": 1}, 100),
        (Phase.ANALYSING, {"weight": 5}, {"old": 3, "new": 1}, 5),
        (Phase.ANALYSING, {"weight": 5}, {"old": 3}, 0),
        (Phase.ANALYSING, {"weight": 5}, {"new": 1}, 100),
        (Phase.ANALYSING, {"weight": 5}, {}, 0),
        (Phase.ANALYSING, {}, {"old": 3, "new": 1}, 0),
        (Phase.PROMOTING, {"weight": 5}, {"old": 3, "new": 1}, 25),
        (Phase.PROMOTING, {"weight": 50}, {"old": 3, "new": 1}, 50),
        (Phase.PROMOTING, {"weight": 50}, {"old": 3}, 0),
        (Phase.PROMOTING, {}, {"old": 1, "new": 3}, 75),
        (Phase.PROMOTING, {}, {"old": 1, "new": 300}, 99),
        (Phase.PROMOTING, {}, {"old": 300, "new": 1}, 1),
        (Phase.PROMOTING, {"weight": 100}, {"old": 1, "new": 3}, 100),
        (Phase.PROMOTING, {}, {}, 100),
        (Phase.ROLLING_BACK, {"weight": 5, "abort_reason": "Errors"}, {"old": 3, "new": 1}, 0),
        (Phase.ROLLING_BACK, {"weight": 75, "abort_reason": "Errors"}, {"old": 1, "new": 3}, 0),
        (Phase.ROLLING_BACK, {"weight": 75}, {"old": 1, "new": 3}, 75),
        (Phase.ROLLING_BACK, {"weight": 60}, {"old": 1, "new": 3}, 60),
        (Phase.ROLLING_BACK, {"weight": 60}, {"old": 2, "new": 2}, 0),
        (Phase.ROLLING_BACK, {"weight": 60, "abort_reason": "Errors"}, {"new": 2}, 100),
        (Phase.ROLLING_BACK, {"weight": 60}, {}, 0),
    ],
)
def test_the_canary_gets(phase: Phase, fields: dict[str, object], serving: dict[str, int], canary: int) -> None:
    assert traffic(state(phase, **fields), serving) == {"old": 100 - canary, "new": canary}


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.ROLLED_BACK])
def test_without_a_canary_stable_gets_all(phase: Phase) -> None:
    assert traffic(state(phase, weight=5), {"old": 3, "new": 1}) == {"old": 100}


def test_before_the_first_revision_there_is_nothing_to_weigh() -> None:
    assert traffic(RolloutState(), {}) == {}


@given(
    phase=st.sampled_from(Phase),
    weight=st.one_of(st.none(), st.integers(-5, 105)),
    abort=st.one_of(st.none(), st.just("Errors")),
    old=st.integers(0, 40),
    new=st.integers(0, 40),
)
def test_the_weights_add_up_and_never_go_to_a_revision_without_a_worker_while_the_other_has_one(
    phase: Phase, weight: int | None, abort: str | None, old: int, new: int
) -> None:
    shares = traffic(state(phase, weight=weight, abort_reason=abort), {"old": old, "new": new})
    assert sum(shares.values()) == 100
    assert all(share >= 0 for share in shares.values())
    if old and not new:
        assert shares["old"] == 100
    if phase in NONE_YET and old:
        assert shares["new"] == 0


@given(weight=st.integers(1, 100), old=st.integers(1, 20), new=st.integers(1, 20))
def test_the_share_only_rises_while_workers_are_replaced_and_only_falls_on_the_way_back(
    weight: int, old: int, new: int
) -> None:
    going = [(old - min(i, old), new + i) for i in range(old + 1)]
    rising = [traffic(state(Phase.PROMOTING, weight=weight), {"old": left, "new": come})["new"] for left, come in going]
    assert all(low <= high for low, high in pairwise(rising))
    assert rising[0] >= weight
    falling = [
        traffic(state(Phase.ROLLING_BACK, weight=weight), {"old": come, "new": left})["new"]
        for come, left in ((old + i, new - i) for i in range(new))
    ]
    assert all(high >= low for high, low in pairwise(falling))
    assert falling[0] <= weight
