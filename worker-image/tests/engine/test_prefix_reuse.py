"""What stays in the cache, on real llama.cpp: it is not read again, it changes no answer, and it is its tenant's alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.report import Step
from slicewise_worker.engine.request import Finished, Generation, Sampling

GREEDY = Sampling(temperature=0)
SYSTEM = "The worker reads the file, and then it says what a slice is. " * 4


class Counted(Context):
    """A context that counts the tokens it was given for sequences that run."""

    tokens = 0

    def decode(self, batch: Batch) -> int:
        self.tokens += batch.size - len(self.padding.slots)
        return super().decode(batch)


@pytest.fixture
def engine(tiny: Path, bench: Callable[..., Any]) -> Any:
    return bench(tiny, context_type=Counted)


def ask(
    engine: Any, text: str, *, tenant: str | None = None, adapter: str | None = None, most: int = 8, batch: bool = False
) -> tuple[str, int, int]:
    """Return the answer, the tokens of its prompt that were in the cache, and how many were evaluated for it."""
    counted = engine.engine._context
    before = counted.tokens
    generation = Generation(engine.tokens(text), most, GREEDY, adapter=adapter)
    collector, ticket = engine.submit(generation, tenant=tenant, batch=batch)
    assert isinstance(collector.end(), Finished)
    return collector.text, ticket.times.cached, counted.tokens - before


def test_a_conversation_that_goes_on_reads_only_what_is_new(engine: Any) -> None:
    first, cached, read = ask(engine, SYSTEM)
    whole = len(engine.tokens(SYSTEM))
    assert (cached, read) == (0, whole + 7), "the last token of an answer is not evaluated"
    longer = SYSTEM + "And then?"
    _, cached, read = ask(engine, longer)
    assert whole - 2 <= cached <= whole, "the last token of a text may be another one where more follows"
    assert read == len(engine.tokens(longer)) - cached + 7
    again, cached, read = ask(engine, SYSTEM)
    assert (again, cached, read) == (first, whole - 1, 8)


def test_what_comes_from_the_cache_computes_the_same(tiny: Path) -> None:
    """The logits after a prompt differ by rounding at most: of one that was read whole, taken over and cut, and copied."""
    start_backend()
    model = Model(tiny, gpu=False)
    context = Context(model, ContextShape(tokens=1024, batch=256, sequences=4, kv_type="f16", threads=1))
    batch = Batch(256)
    beginning, end = model.tokenize(SYSTEM)[:60], model.tokenize(" zone and worker")
    other = model.tokenize("Something else that is in the cache beside it. " * 3)

    def logits(sequence: int, tokens: Any, position: int) -> Any:
        batch.clear()
        index = batch.add(sequence, tokens, position, output=True)
        assert context.decode(batch) == 0
        return context.logits(index).copy()

    try:
        right = logits(0, beginning + end, 0)
        context.forget(0)
        logits(1, other, 0)
        logits(2, beginning + model.tokenize(" quite another end of it"), 0)
        assert context.reuse(3, 2, len(beginning)) == len(beginning)
        copied = logits(3, end, len(beginning))
        assert context.reuse(2, 2, len(beginning)) == len(beginning)
        taken_over = logits(2, end, len(beginning))
        assert context.reuse(1, 1, len(other) - 20) == len(other) - 20
        wrong = logits(1, end, len(other) - 20)
        for found in (copied, taken_over):
            np.testing.assert_allclose(found, right, atol=1e-2)
        assert np.abs(wrong - right).max() > 0.1
    finally:
        context.close()
        model.close()


def test_what_one_tenant_has_read_is_read_again_for_another(engine: Any) -> None:
    ask(engine, SYSTEM, tenant="a")
    for tenant in ("b", None):
        _, cached, read = ask(engine, SYSTEM, tenant=tenant)
        assert (cached, read) == (0, len(engine.tokens(SYSTEM)) + 7)
    assert ask(engine, SYSTEM, tenant="a")[1] > 0
    assert ask(engine, SYSTEM, tenant="a", batch=True)[1] > 0, "batch of a tenant is the same tenant"


def test_what_is_running_for_one_tenant_is_nothing_for_another(tiny: Path, bench: Callable[..., Any]) -> None:
    engine = bench(tiny, context_tokens=16384)
    running, ticket = engine.submit(Generation(engine.tokens(SYSTEM), 16000, GREEDY), tenant="a")
    assert running.started.wait(60)
    beside = {tenant: engine.submit(Generation(engine.tokens(SYSTEM), 1, GREEDY), tenant=tenant) for tenant in "ab"}
    for collector, _ in beside.values():
        collector.end()
    engine.engine.cancel([ticket])
    assert beside["b"][1].times.cached == 0
    assert beside["a"][1].times.cached == len(engine.tokens(SYSTEM)) - 1


def test_what_was_computed_with_another_adapter_is_nothing(tiny: Path, tiny_adapters, bench) -> None:
    engine = bench(tiny, context_type=Counted, adapters=tiny_adapters)
    alone = {adapter: ask(engine, SYSTEM, adapter=adapter) for adapter in (None, *tiny_adapters)}
    assert [cached for _, cached, _ in alone.values()] == [0, 0, 0]
    for adapter, (text, _, _) in alone.items():
        again, cached, _ = ask(engine, SYSTEM, adapter=adapter)
        assert (again, cached > 0) == (text, True)


@pytest.mark.parametrize("most", [1, 6])
def test_choices_that_share_a_prompt_read_it_once(engine: Any, most: int) -> None:
    alone, _, _ = ask(engine, SYSTEM, tenant="other", most=most)
    counted = engine.engine._context
    before = counted.tokens
    prompt = engine.tokens(SYSTEM)
    collectors = engine.submit_together([Generation(prompt, most, GREEDY)] * 4)
    for collector in collectors:
        assert isinstance(collector.end(), Finished)
    assert [collector.text for collector in collectors] == [alone] * 4
    assert counted.tokens - before == len(prompt) + 3 + 4 * (most - 1)


def test_who_waits_for_one_that_is_given_up_reads_by_itself(tiny_slow: Path, bench: Callable[..., Any]) -> None:
    engine = bench(tiny_slow, prompt_chunk_tokens=1)
    first, ticket = engine.submit(Generation(engine.tokens(SYSTEM), 2, GREEDY))
    second, other = engine.submit(Generation(engine.tokens(SYSTEM + "zone"), 2, GREEDY))
    engine.settle(lambda: engine.engine.progress().cached_tokens > 2)
    engine.engine.cancel([ticket])
    engine.settle(lambda: engine.engine.progress().running == 1)
    assert not first.events
    assert isinstance(second.end(), Finished)
    assert other.times.cached == 0


def test_room_is_never_short_for_those_who_run(tiny: Path, bench: Callable[..., Any]) -> None:
    engine = bench(tiny, context_tokens=128, sequences=3)
    for number in range(12):
        text = f"{number} zone " + SYSTEM
        generations = [Generation(engine.tokens(text)[: 60 + 20 * index], 128, GREEDY) for index in range(3)]
        for collector in engine.submit_together(generations, tenant="ab"[number % 2]):
            assert isinstance(collector.end(), Finished)
    assert 0 < engine.engine.progress().kept_tokens <= 3 * 128


def test_what_is_read_is_charged_and_what_is_reused_is_told(engine: Any) -> None:
    class Seen:
        reused_tokens = prompt_tokens = 0

        def stepped(self, step: Step) -> None:
            self.prompt_tokens += step.prompt_tokens

        def begun(self, *_: object) -> None: ...

        def reused(self, _tenant: object, tokens: int) -> None:
            self.reused_tokens += tokens

        def generated(self, *_: object) -> None: ...

        def first_token(self, *_: object) -> None: ...

        def ended(self, *_: object) -> None: ...

    engine.engine.observer = seen = Seen()
    for _ in range(2):
        ask(engine, SYSTEM, tenant="a")
    assert seen.reused_tokens == len(engine.tokens(SYSTEM)) - 1
    assert seen.prompt_tokens == len(engine.tokens(SYSTEM)) + 1


def test_what_a_broken_step_left_is_not_kept(tiny: Path, bench: Callable[..., Any]) -> None:
    class Breaking(Counted):
        steps = 0

        def decode(self, batch: Batch) -> int:
            self.steps += 1
            return 1 if self.steps == 20 else super().decode(batch)

    engine = bench(tiny, context_type=Breaking)
    broken, _ = engine.submit(Generation(engine.tokens(SYSTEM), 100, GREEDY))
    assert not isinstance(broken.end(), Finished)
    assert engine.engine.progress().kept_tokens == 0
    assert ask(engine, SYSTEM)[1] == 0
