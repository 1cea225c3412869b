"""Tokens drawn by their chances: as often as they should come, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.draw import Draw


@pytest.mark.parametrize(("size", "temperature"), [(3, 1.7), (256, 0.5), (1000, 1.0)])
def test_each_token_comes_as_often_as_its_chance_says(size: int, temperature: float) -> None:
    logits = np.random.Generator(np.random.PCG64(1)).normal(0, 2, size).astype(np.float32)
    chances = np.exp(logits.astype(np.float64) / temperature)
    chances /= chances.sum()
    draw, count = Draw(temperature, seed=7), 10_000
    come = np.bincount([draw(logits) for _ in range(count)], minlength=size)
    often = chances * count >= 5
    # The seed is fixed, so that this is no matter of luck.
    squares = (come - chances * count)[often] ** 2 / (chances * count)[often]
    assert squares.sum() < often.sum() + 4 * np.sqrt(2 * often.sum())
    assert abs(come[~often].sum() - chances[~often].sum() * count) < 0.01 * count + 5


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.just(float("-inf")), st.floats(-(2.0**99), 2.0**99, width=32)), min_size=1, max_size=700),
    st.floats(1e-5, 2.0),
    st.integers(0, 2**32 - 2),
)
def test_what_has_no_chance_never_comes(values: list[float], temperature: float, seed: int) -> None:
    logits = np.array(values, np.float32)
    if not np.isfinite(logits).any():
        return
    before = logits.copy()
    one, other = Draw(temperature, seed), Draw(temperature, seed)
    tokens = [one(logits) for _ in range(5)]
    assert tokens == [other(logits) for _ in range(5)]
    assert all(np.isfinite(logits[token]) for token in tokens)
    assert (logits == before).all()
