"""How large a chunk of prompts is, by machines of which the cost of a step is known."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.chunk import FIRST_CHUNK, LEAST_CHUNK, QUIET_SECONDS, Chunks
from slicewise_worker.engine.step_cost import Load

MOST = 512
CONTEXT = 2048
Cost = Callable[[Load], float]
QUICK = settings(max_examples=30, deadline=None)

GAPS = st.floats(0.02, 5)
SPEEDS = st.tuples(st.floats(0, 0.3), st.floats(0.01, 2), st.floats(0, 0.02))
"""Gaps that a step takes without a prompt, a twentieth of those for `MOST` tokens of one, and what a full context adds."""


def machine(gap: float, speed: tuple[float, float, float], answers: int = 4) -> Cost:
    """Return the cost of steps: `speed` in gaps, so that there are fast and slow machines for each gap."""
    base, reading, looking = speed
    # From a machine that reads all in a part of a gap to one that needs a hundred gaps.
    token = gap * reading * 20 / MOST
    return lambda load: (
        gap * base * (0.5 + load.answers / answers / 2)
        + token * load.prompt
        + gap * looking / CONTEXT * load.pairs / 64
    )


class Reading:
    """Prompts of the length of the context, one after the other, beside answers."""

    def __init__(self, chunks: Chunks, cost: Cost, answers: int = 4) -> None:
        self.chunks, self.cost, self.answers = chunks, cost, answers
        self.at = 0

    def pairs(self) -> float:
        return self.answers * 300.0

    def load(self, chunk: int) -> Load:
        return Load(chunk, self.answers, self.pairs() + chunk * (self.at + chunk / 2))

    def step(self, slower: float = 1.0) -> Load:
        """Read one chunk, `slower` than the machine is by itself."""
        chunk = self.chunks.choose(self.answers, self.pairs(), self.at)
        load = self.load(chunk)
        self.chunks.cost.observe(load, slower * self.cost(load))
        self.at = (self.at + chunk) % CONTEXT
        return load

    def answer(self) -> None:
        """Take a step without a prompt."""
        load = Load(0, self.answers, self.pairs())
        self.chunks.cost.observe(load, self.cost(load))

    def settle(self) -> None:
        """Fit until the numbers stay as they are: nothing is observed between."""
        for _ in range(200):
            self.chunks.cost.fit()

    def best(self, gap: float) -> int:
        """Return the largest chunk of now that takes no longer than `gap`."""
        return bisect_right(range(1, MOST + 1), gap, key=lambda chunk: self.cost(self.load(chunk)))


@QUICK
@given(
    st.floats(0.001, 100),
    st.integers(1, 8192),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 300), st.floats(0, 1e12), st.floats(0, 1e6)), max_size=30),
    st.tuples(st.integers(0, 256), st.floats(0, 1e9), st.integers(0, 1 << 20), st.integers(1, 40)),
)
def test_whatever_was_observed_the_chunk_is_within_its_bounds(gap, most, seen, asked) -> None:
    chunks = Chunks(most, gap)
    for prompt, beside, of_both, seconds in seen:
        chunks.cost.observe(Load(prompt, beside, of_both), seconds)
        chunk = chunks.choose(*asked)
        assert min(most, LEAST_CHUNK) <= chunk <= most
        assert chunk == chunks.now


@QUICK
@given(GAPS, SPEEDS)
def test_on_a_steady_machine_no_step_takes_longer_than_the_gap_and_none_is_much_smaller_than_it_could_be(
    gap, speed
) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    reading.answer()
    for step in range(80):
        best = reading.best(gap)
        load = reading.step()
        if step:  # nothing is known before the first
            assert reading.cost(load) <= (1.1 if step < 40 else 1) * gap or load.prompt == LEAST_CHUNK
        if step > 40:
            assert load.prompt >= min(MOST, 0.6 * best)


def test_a_chunk_begins_small_and_grows_no_more_than_twofold() -> None:
    reading = Reading(Chunks(MOST, 0.2), lambda _: 0.001)
    assert [reading.step().prompt for _ in range(6)] == [FIRST_CHUNK, 64, 128, 256, 512, 512]


@QUICK
@given(GAPS, SPEEDS, st.randoms(use_true_random=False))
def test_steps_that_the_machine_holds_up_now_and_then_do_not_make_chunks_small(gap, speed, dice: random.Random) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    reading.answer()
    for _ in range(40):
        reading.step()
    since = 0
    for _ in range(60):
        # No two of them within a few steps, and one of eight at most.
        since = 0 if since > 7 and dice.random() < 0.3 else since + 1
        best = reading.best(gap)
        load = reading.step(1.0 if since else 100.0)
        assert load.prompt >= min(MOST, 0.4 * best)


@QUICK
@given(GAPS, SPEEDS, st.floats(1.5, 10))
def test_a_machine_that_becomes_slower_has_smaller_chunks_after_a_few_steps(gap, speed, slower) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    reading.answer()
    for _ in range(40):
        reading.step()
    for step in range(40):
        load = reading.step(slower)
        # Where the machine has become so slow that hardly a token is in time, it takes twelve.
        if step >= 16:
            assert slower * reading.cost(load) <= 1.1 * gap or load.prompt == LEAST_CHUNK


@QUICK
@given(GAPS, SPEEDS, st.floats(1.5, 10))
def test_a_machine_that_becomes_faster_has_larger_chunks_again(gap, speed, slower) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    reading.answer()
    for _ in range(40):
        reading.step(slower)
    for _ in range(120):
        reading.step()
    assert reading.step().prompt >= min(MOST, 0.6 * reading.best(gap))


@QUICK
@given(GAPS, SPEEDS)
def test_minutes_of_answers_only_do_not_let_the_cost_of_prompts_be_forgotten(gap, speed) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    for _ in range(40):
        reading.step()
        reading.answer()
    before, reading.at = reading.load(1), 0
    chunk = reading.chunks.choose(reading.answers, reading.pairs(), 0)
    for _ in range(2000):
        reading.answer()
    after = reading.chunks.choose(reading.answers, reading.pairs(), 0)
    assert before.answers == reading.answers
    assert 0.9 * chunk - 1 <= after <= chunk / 0.9 + 1


@QUICK
@given(GAPS, SPEEDS, st.floats(1, 20), st.integers(1, 60))
def test_a_longer_gap_never_makes_a_chunk_smaller(gap, speed, longer, steps) -> None:
    cost = machine(gap, speed)
    short, long = (Reading(Chunks(MOST, seconds), cost) for seconds in (gap, gap * longer))
    for chunks in (short, long):
        chunks.answer()
    for _ in range(steps):
        short.step()
    # The same was observed by both.
    long.chunks.cost = short.chunks.cost
    short.settle()
    assert long.chunks.choose(4, 1200.0, short.at) >= short.chunks.choose(4, 1200.0, short.at) - 1


@QUICK
@given(GAPS, SPEEDS, st.integers(0, 60), st.integers(0, 4000), st.floats(0, 1e5), st.integers(1, 9))
def test_more_beside_a_prompt_or_before_it_never_makes_its_chunk_larger(gap, speed, more, cached, pairs, share) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    reading.answer()
    for _ in range(30):
        reading.step()
    chunks = reading.chunks
    reading.settle()
    plain = chunks.choose(4, 1200.0, 100)
    for harder in (
        (4 + more, 1200.0, 100, 1),
        (4, 1200.0 + pairs, 100, 1),
        (4, 1200.0, 100 + cached, 1),
        (4, 1200.0, 100, share),
    ):
        assert chunks.choose(*harder) <= plain + 1


@QUICK
@given(GAPS, SPEEDS)
def test_while_no_answer_waits_a_step_may_take_a_second(gap, speed) -> None:
    limit = max(gap, QUIET_SECONDS)
    reading = Reading(Chunks(MOST, gap), machine(limit, speed), answers=0)
    for _ in range(60):
        best = reading.best(limit)
        load = reading.step()
    assert load.prompt >= min(MOST, 0.6 * best)
    assert reading.cost(load) <= limit or load.prompt == LEAST_CHUNK


def test_without_a_limit_every_chunk_is_the_largest() -> None:
    chunks = Chunks(MOST, inf)
    chunks.cost.observe(Load(8, 4, 100), 1e6)
    assert chunks.choose(4, 100, 100) == MOST


@QUICK
@given(st.integers(1, 7))
def test_a_largest_chunk_below_the_least_is_taken(most: int) -> None:
    assert Chunks(most, 0.001).choose(4, 100, 100) == most


@QUICK
@given(st.floats(1, 30), st.integers(1, 60), st.integers(1, 60))
def test_where_the_least_chunk_takes_too_long_as_many_prompts_get_a_token_as_cost_no_more(
    cheaper, answers, prompts
) -> None:
    gap, base, token = 0.01, 0.02, 0.01
    reading = Reading(Chunks(MOST, gap), lambda load: base + token * load.prompt + token / cheaper * load.answers)
    chunks = reading.chunks
    for load in (Load(32, answers, 0), Load(8, answers, 0), Load(0, 2 * answers, 0), Load(8, 1, 0)) * 10:
        chunks.cost.observe(load, reading.cost(load))
    reading.settle()
    chunk = chunks.choose(answers, 0, 0, 1, prompts)
    most = LEAST_CHUNK * cheaper
    if min(prompts, 1.1 * most) < LEAST_CHUNK:
        assert (chunk, chunks.spread) == (LEAST_CHUNK, False)
    elif 0.9 * most >= LEAST_CHUNK:
        assert chunks.spread
        assert int(min(prompts, 0.9 * most)) <= chunk <= min(prompts, 1.1 * most)


@QUICK
@given(GAPS, SPEEDS, st.integers(1, 60))
def test_where_a_chunk_fits_into_the_gap_it_is_not_spread(gap, speed, prompts) -> None:
    reading = Reading(Chunks(MOST, gap), machine(gap, speed))
    for _ in range(60):
        best = reading.best(0.7 * gap)
        reading.step()
        reading.answer()
    chunks = reading.chunks
    plain = chunks.choose(4, 1200.0, reading.at)
    chunk = chunks.choose(4, 1200.0, reading.at, 1, prompts)
    if best > 2 * LEAST_CHUNK:
        assert not chunks.spread
        assert 0.9 * plain - 1 <= chunk <= plain / 0.9 + 1
