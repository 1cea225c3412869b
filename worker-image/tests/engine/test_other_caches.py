"""Models with a sliding window or a recurrent state: what is kept of them is used only where the cache still has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from other_caches import WINDOW, write_recurrent, write_windowed

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.request import Finished, Generation, Sampling

GREEDY = Sampling(temperature=0)
LONG = "The worker reads the file, and then it says what a slice is and what a zone has. " * 6
KINDS = {"windowed": write_windowed, "recurrent": write_recurrent}


class Bare:
    """A context of its own, to look at the logits after any tokens."""

    def __init__(self, path: Path) -> None:
        start_backend()
        self.model = Model(path, gpu=False)
        self.context = Context(self.model, ContextShape(tokens=2048, batch=256, sequences=4, kv_type="f16", threads=1))
        self._batch = Batch(256)

    def read(self, sequence: int, tokens: Any, position: int = 0) -> Any:
        """Evaluate `tokens` eight at a time; return the logits after the last."""
        for start in range(0, len(tokens), 8):
            self._batch.clear()
            index = self._batch.add(sequence, tokens[start : start + 8], position + start, output=True)
            assert self.context.decode(self._batch) == 0
        return self.context.logits(index).copy()

    def close(self) -> None:
        self.context.close()
        self.model.close()


@pytest.fixture(params=[*KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    KINDS[kind](tmp_path / "model.gguf")
    return tmp_path / "model.gguf"


@pytest.fixture
def bare(path: Path) -> Iterator[Bare]:
    made = Bare(path)
    yield made
    made.close()


def test_what_is_reused_computes_the_same_and_what_is_gone_is_refused(bare: Bare, kind: str) -> None:
    """Cut by any number of tokens: either the logits are those of one that was read whole, or nothing is left."""
    assert not bare.context.shares
    tokens, end = bare.model.tokenize(LONG)[:100], bare.model.tokenize(" zone")
    used = []
    for cut in (0, 1, 8, WINDOW, 60, 90):
        kept = len(tokens) - cut
        bare.context.forget(0)
        right = bare.read(0, tokens[:kept] + end)
        bare.context.forget(1)
        bare.read(1, tokens)
        reused = bare.context.reuse(1, 1, kept)
        assert reused in {0, kept}
        np.testing.assert_allclose(bare.read(1, (tokens[:kept] + end)[reused:], reused), right, atol=1e-2)
        used.append(reused > 0)
    assert used[0], "a conversation that goes on where it was"
    assert kind == "windowed" or not any(used[1:]), "a state cannot go back"


def test_a_conversation_goes_on_and_another_beginning_is_read(path: Path, bench: Callable[..., Any]) -> None:
    engine = bench(path)

    def ask(prompt: tuple[int, ...]) -> tuple[str, int]:
        collector, ticket = engine.submit(Generation(prompt, 6, GREEDY))
        assert isinstance(collector.end(), Finished)
        return collector.text, ticket.times.cached

    prompt = engine.tokens(LONG)
    first, cached = ask(prompt)
    assert cached == 0
    again, _ = ask(prompt)
    assert again == first
    for count in (40, 70):
        shorter = prompt[:count]
        fresh = bench(path)
        collector, _ = fresh.submit(Generation(shorter, 6, GREEDY))
        collector.end()
        assert ask(shorter)[0] == collector.text


def test_many_run_and_go_and_room_is_never_short(path: Path, bench: Callable[..., Any]) -> None:
    engine = bench(path, context_tokens=256, sequences=4)
    prompt = engine.tokens(LONG)
    for number in range(5):
        generations = [Generation((*prompt[: 30 + 20 * index], 60 + number), 90, GREEDY) for index in range(4)]
        for collector in engine.submit_together(generations):
            assert isinstance(collector.end(), Finished)
