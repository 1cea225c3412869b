"""What a new sequence begins with: properties of the decision, on any sequences of those who come and go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slicewise_worker.engine.kept import LEAST_SHARED, Cached, Slots, common


def tokens(*parts: int) -> NDArray[np.int32]:
    """Return a text of parts, of which each is as long as what is worth to be shared."""
    return np.repeat(np.array(parts, np.int32), LEAST_SHARED)


def kept(slot: int, owner: str | None, parts: Sequence[int], adapter: str | None = None) -> Cached:
    text = tokens(*parts)
    return Cached(slot, owner, adapter, text, len(text))


def slots(*occupied: Cached, empty: int = 0) -> Slots:
    """Return slots that keep `occupied`, in this order, and as many more that are empty."""
    made = Slots(len(occupied) + empty)
    for _ in occupied:
        made.take(None, None, tokens(9))
    for one in occupied:
        made.keep(one)
    return made


PARTS = st.lists(st.integers(0, 2), min_size=1, max_size=5)
OWNERS = st.sampled_from([None, "a", "b"])
ADAPTERS = st.sampled_from([None, "one"])
ASKED = st.tuples(OWNERS, ADAPTERS, PARTS)


@given(PARTS, PARTS)
def test_what_two_texts_begin_with(first: list[int], second: list[int]) -> None:
    one, other = tokens(*first), tokens(*second)
    length = common(one, other)
    assert one[:length].tolist() == other[:length].tolist()
    assert length == min(len(one), len(other)) or one[length] != other[length]


@given(st.lists(ASKED, max_size=30), st.integers(1, 4), st.booleans(), st.data())
def test_any_come_and_go_gives_each_a_slot_of_its_own_and_what_is_its_own(
    asked: list[tuple[str | None, str | None, list[int]]], count: int, shares: bool, data: st.DataObject
) -> None:
    made = Slots(count)
    in_cache: dict[int, Cached] = {}
    running: dict[int, Cached] = {}
    for owner, adapter, parts in asked:
        if len(running) == count:
            ended = data.draw(st.sampled_from(sorted(running)))
            made.keep(running.pop(ended))
        text = tokens(*parts)
        taken = made.take(owner, adapter, text, running.values(), shares=shares)
        assert taken.slot not in running
        assert 0 <= taken.slot < count
        if taken.source is None:
            assert taken.shared == 0
        else:
            source = in_cache[taken.source]
            assert (source.owner, source.adapter) == (owner, adapter)
            assert LEAST_SHARED <= taken.shared < len(text), "one token is left to be read"
            assert source.tokens[: taken.shared].tolist() == text[: taken.shared].tolist()
            assert shares or taken.source == taken.slot
        in_cache[taken.slot] = running[taken.slot] = Cached(taken.slot, owner, adapter, text, len(text))
        assert len(made) + len(running) == count
    assert made.kept_tokens == sum(len(one.tokens) for slot, one in in_cache.items() if slot not in running)


@given(PARTS, PARTS, ADAPTERS)
def test_what_another_owner_keeps_is_as_good_as_nothing(
    mine: list[int], theirs: list[int], adapter: str | None
) -> None:
    beside = slots(kept(0, "b", theirs, adapter), empty=1).take("a", adapter, tokens(*mine))
    alone = slots(empty=2).take("a", adapter, tokens(*mine))
    assert (beside.source, beside.shared) == (alone.source, alone.shared) == (None, 0)


def test_a_conversation_that_goes_on_takes_over_its_slot() -> None:
    made = slots(kept(0, "a", [1, 2, 3]), kept(1, "a", [1, 4, 5]))
    taken = made.take("a", None, tokens(1, 2, 3, 4))
    assert (taken.slot, taken.source, taken.shared) == (0, 0, 3 * LEAST_SHARED)


def test_what_has_only_the_beginning_in_common_leaves_it_to_those_who_had_it() -> None:
    made = slots(kept(0, "a", [1, 2, 3]), empty=1)
    taken = made.take("a", None, tokens(1, 4))
    assert (taken.slot, taken.source, taken.shared) == (1, 0, LEAST_SHARED)
    assert made.take("a", None, tokens(1, 2, 3, 3)).slot == 0
    without = slots(kept(0, "a", [1, 2, 3])).take("a", None, tokens(1, 4))
    assert (without.slot, without.source, without.shared) == (0, 0, LEAST_SHARED), "no other slot is free"


def test_the_same_question_again_leaves_its_last_token_to_be_read() -> None:
    taken = slots(kept(0, "a", [1, 2])).take("a", None, tokens(1, 2))
    assert taken.shared == 2 * LEAST_SHARED - 1


def test_room_comes_from_the_owner_that_keeps_the_most_and_of_that_what_was_used_least_recently() -> None:
    made = slots(kept(3, "b", [1]), kept(2, "a", [2]), kept(1, "a", [3]), kept(0, "a", [4]))
    assert [made.take("c", None, tokens(5)).slot for _ in range(2)] == [2, 1]
    assert made.take("c", None, tokens(5)).slot == 3, "now both keep the same, and that is the older one"


def test_what_is_there_comes_before_what_is_still_being_read() -> None:
    text = tokens(1, 2)
    reading = Cached(1, "a", None, text, 0)
    made = slots(kept(0, "a", [1, 2]), empty=1)
    assert made.take("a", None, tokens(1, 2, 3), [reading]).source == 0
    assert slots(empty=1).take("a", None, tokens(1, 2, 3), [reading]).source == 1
