"""Context and sequences that a memory has room for: as much as there is, and never more."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.engine.sizing import GOOD_USE, MOST_SEQUENCES, Sizes, Wish, choose

MIB = 1 << 20


@dataclass
class Model:
    """What a model takes: a fixed part, one for each sequence, and one for each token of its context, rounded up as llama.cpp does."""

    fixed: int = 500 * MIB
    sequence: int = MIB
    token: int = 24 << 10
    asked: list[Sizes] = field(default_factory=list)

    def total(self, sizes: Sizes) -> int:
        self.asked.append(sizes)
        cells = -(-sizes.context // 256) * 256
        return self.fixed + sizes.sequences * (self.sequence + cells * self.token)


def test_both_given_are_taken_as_they_are() -> None:
    assert choose(Wish(5000, 7, 100), 1, Model().total) == Sizes(5000, 7)


def test_the_longest_context_for_a_number_of_sequences() -> None:
    model = Model(fixed=0, sequence=0, token=1024)
    assert choose(Wish(None, 4, 32768), 4 * 1024 * 1000, model.total) == Sizes(768, 4)
    assert choose(Wish(None, 4, 32768), 4 * 1024 * 1024, model.total) == Sizes(1024, 4)
    assert choose(Wish(None, 4, 1000), 1 << 40, model.total) == Sizes(1000, 4), "no longer than the model's own"
    assert choose(Wish(None, 4, 32768), 4 * 1024 * 255, model.total) is None


def test_as_many_sequences_as_a_context_leaves_room_for() -> None:
    model = Model(fixed=0, sequence=0, token=1024)
    assert choose(Wish(4096, None, 8192), 10 * 4096 * 1024 + 5, model.total) == Sizes(4096, 10)
    assert choose(Wish(4096, None, 8192), 1 << 40, model.total) == Sizes(4096, MOST_SEQUENCES)
    assert choose(Wish(4096, None, 8192), 4095 * 1024, model.total) is None


def test_with_neither_given_sequences_come_before_long_contexts_and_both_before_more_sequences() -> None:
    token = 1024
    narrow = Model(fixed=0, sequence=0, token=token)
    assert choose(Wish(None, None, 32768), 3 * 4096 * token, narrow.total) == Sizes(4096, 3)
    assert choose(Wish(None, None, 32768), 16 * 8192 * token, narrow.total) == Sizes(8192, 16)
    assert choose(Wish(None, None, 32768), 40 * 32768 * token, narrow.total) == Sizes(32768, 40)
    assert choose(Wish(None, None, 32768), 1000 * token, narrow.total) == Sizes(768, 1), "less than a usual context"
    assert choose(Wish(None, None, 100), 256 * 3 * token, narrow.total) == Sizes(100, 3)


def test_sequences_are_not_tried_beyond_the_first_number_that_has_no_room() -> None:
    model = Model(0, 0, 1639)
    assert choose(Wish(None, None, 64), MIB, model.total) == Sizes(64, 2)
    assert max(sizes.sequences for sizes in model.asked) == 3


MODELS = st.builds(Model, st.integers(0, 2000 * MIB), st.integers(0, 8 * MIB), st.integers(64, 512 << 10))
ROOMS = st.integers(1 * MIB, 80_000 * MIB)


@fuzzed(200, MODELS, ROOMS, st.integers(64, 1 << 20))
def test_nothing_goes_over_the_room_or_is_asked_for_far_above_it(model: Model, room: int, trained: int) -> None:
    found = choose(Wish(None, None, trained), room, model.total)
    if found is None:
        assert model.total(Sizes(min(trained, 256), 1)) > room
        return
    assert model.total(found) <= room
    assert found.context <= trained
    assert 1 <= found.sequences <= MOST_SEQUENCES
    most = max(model.total(sizes) for sizes in list(model.asked))
    least = model.total(Sizes(min(trained, 4096), 1))
    assert most <= max(2 * room, 2 * least)
    assert len(set(model.asked)) < 150


@fuzzed(200, MODELS, ROOMS, st.integers(1, 64))
def test_one_step_more_would_not_fit(model: Model, room: int, sequences: int) -> None:
    found = choose(Wish(None, sequences, 1 << 17), room, model.total)
    if found is not None and found.context < 1 << 17:
        assert model.total(found) <= room < model.total(Sizes(found.context + 256, sequences))


@pytest.mark.parametrize("gib", [5, 10, 20, 40, 80])
@pytest.mark.parametrize("token", [24 << 10, 56 << 10, 128 << 10])
def test_a_slice_is_used_to_97_per_cent(gib: int, token: int) -> None:
    """Of models with 0.5, 7 and 8 thousand million weights, whose tokens take so much in f16."""
    model = Model(fixed=3 << 30, sequence=MIB, token=token)
    room = gib << 30
    found = choose(Wish(None, None, 131_072), room, model.total)
    assert found is not None
    assert GOOD_USE * room <= model.total(found) <= room
