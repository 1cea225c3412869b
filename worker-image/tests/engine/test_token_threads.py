"""Half of the threads compute single tokens where that is faster, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llama_cpp.llama_cpp as api
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.token_threads import better, try_token_threads

SHAPE = ContextShape(tokens=256, batch=64, sequences=2, kv_type="f16", threads=4)
TIMES = st.lists(st.floats(0.001, 10), min_size=2, max_size=3)


@given(TIMES, TIMES)
def test_half_is_taken_where_the_fastest_token_says_so_clearly(all_of_them: list[float], half: list[float]) -> None:
    assert better(8, {8: all_of_them, 4: half}) == (4 if min(half) < 0.95 * min(all_of_them) else 8)
    assert better(8, {8: all_of_them, 4: [10 * one for one in all_of_them]}) == 8


@pytest.mark.parametrize("took", [{}, {8: [1.0, 1.0]}, {8: [1.0, 1.0], 4: [0.1]}])
def test_too_few_tokens_change_nothing(took: dict[int, list[float]]) -> None:
    assert better(8, took) == 8


class Slow(Context):
    """Says that a token takes `seconds` by each number of threads."""

    now = 0.0

    def __init__(self, model: Model, shape: ContextShape, seconds: Callable[[int], float]) -> None:
        super().__init__(model, shape)
        self._seconds = seconds
        self.steps: list[int] = []

    def decode(self, batch) -> int:
        self.steps.append(api.llama_n_threads(self._context))
        self.now += self._seconds(self.steps[-1])
        return super().decode(batch)


@pytest.fixture(scope="module")
def model(tiny: Path):
    start_backend()
    made = Model(tiny, gpu=False)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("seconds", "chosen", "steps"),
    [
        (lambda threads: 0.01 * threads, 2, 7),
        (lambda threads: 0.01 / threads, 4, 7),
        # As a large model on a slow machine: the start is not held up for it.
        (lambda threads: 1.5 * threads, 4, 1),
        (lambda threads: 0.3 * threads, 4, 2),
    ],
)
def test_the_engine_tries_both_and_keeps_the_better(model: Model, seconds, chosen: int, steps: int) -> None:
    context = Slow(model, SHAPE, seconds)
    assert try_token_threads(context, lambda: context.now) == chosen
    assert len(context.steps) == steps
    assert set(context.steps) <= {4, 2}
    assert api.llama_n_threads(context._context) == chosen
    assert api.llama_n_threads_batch(context._context) == 4, "prompts are computed by all"
    memory = api.llama_get_memory(context._context)
    assert api.llama_memory_seq_pos_max(memory, 0) == -1, "nothing is left in the cache"
    context.close()


def test_with_few_threads_nothing_is_tried(model: Model) -> None:
    context = Slow(model, replace(SHAPE, threads=3), lambda _threads: 1.0)
    assert (try_token_threads(context), context.steps) == (3, [])
    context.close()


def test_a_real_clock_ends_too(model: Model) -> None:
    context = Context(model, SHAPE)
    assert try_token_threads(context) in {2, 4}
    context.close()
