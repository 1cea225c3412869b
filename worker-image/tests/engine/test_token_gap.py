"""An engine reads prompts in as large parts as the gap between tokens allows, by a clock that says what each token costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.chunk import FIRST_CHUNK, LEAST_CHUNK
from slicewise_worker.engine.fit import measure
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.report import Step
from slicewise_worker.engine.request import CONSTRAINT_BYTES, Finished, Generation, Sampling

GREEDY = Sampling(temperature=0)
CONTEXT = 2048
MOST = 256
STEP, TOKEN = 0.004, 0.001
"""Seconds that a step takes without tokens, and more for each token."""


@dataclass
class Machine:
    """A machine of known speed: its clock goes on by what was computed, and by nothing else."""

    step: float = STEP
    token: float = TOKEN
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def context(self, model: Model, shape: ContextShape) -> Context:
        machine = self

        class Counted(Context):
            def decode(self, batch: Batch) -> int:
                machine.now += machine.seconds(batch)
                return super().decode(batch)

        return Counted(model, shape)

    def seconds(self, batch: Batch) -> float:
        return self.step + self.token * batch.size


@dataclass
class Passes(Machine):
    """One that computes a token of each sequence in a pass, and what prompts have beyond it in another one."""

    def seconds(self, batch: Batch) -> float:
        first = len({*batch._sequence[: batch.size].tolist()})
        beyond = batch.size - first
        return 0.07 + 0.012 * first + (0.1 + 0.01 * beyond if beyond else 0.0)


@dataclass
class Steps:
    """Keeps what the engine says of its steps."""

    steps: list[Step] = field(default_factory=list)

    def stepped(self, step: Step) -> None:
        self.steps.append(step)

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_: None

    def beside_answers(self) -> list[Step]:
        """Return the steps in which an answer got a token and a prompt was read that went on after it."""
        return [step for step in self.steps if step.prompt_tokens and step.gap is not None]


def read_beside_an_answer(
    bench: Callable[..., object],
    path: Path,
    gap: float,
    machine: Machine,
    adapters: Mapping[str, Path] = MappingProxyType({}),
    observer: Steps | None = None,
) -> Steps:
    """Let an answer run while three prompts are read, with the first of `adapters` if there are any, and return all steps."""
    engine = bench(
        path,
        context_type=machine.context,
        clock=machine.clock,
        adapters=adapters,
        context_tokens=CONTEXT,
        prompt_chunk_tokens=MOST,
        max_token_gap=gap,
    )
    engine.engine.observer = steps = observer or Steps()
    prompts = [engine.tokens(word * 1500)[:1500] for word in ("zone ", "slice ", "pool ")]
    readers = [Generation(prompt, 1, GREEDY, adapter=next(iter(adapters), None)) for prompt in prompts]
    # All at once, so that the answer runs until they are read, however slow this machine is.
    for collector in engine.submit_together([Generation(engine.tokens("an answer"), CONTEXT - 100, GREEDY), *readers])[
        1:
    ]:
        collector.end()
    return steps


@pytest.mark.parametrize(("gap", "chunk"), [(0.030, 22), (0.064, 52), (0.200, 175), (2.0, MOST), (0.001, LEAST_CHUNK)])
def test_the_chunk_follows_the_gap_that_is_allowed(bench, tiny: Path, gap: float, chunk: int) -> None:
    steps = read_beside_an_answer(bench, tiny, gap, Machine()).beside_answers()
    # The cost is exact, so the chunk comes near to what takes nine tenths of the gap with the token of the answer.
    later = steps[len(steps) // 2 :]
    assert 0.85 * chunk <= max(step.prompt_tokens for step in later) <= chunk + 1
    assert {step.chunk for step in later if step.chunk is not None} <= {*range(int(0.85 * chunk), chunk + 2)}
    # What a chunk of which nothing is known takes is beyond a gap that is shorter than that.
    measured = [step.gap for step in steps if step.gap is not None and step.prompt_tokens != FIRST_CHUNK]
    # With a token of the answer, and those of two idle slots between it and a prompt.
    least = STEP + TOKEN * (LEAST_CHUNK + 3)
    assert max(measured) <= max(1.05 * gap, least) + 1e-9


def test_the_limit_counts_from_token_to_token_where_adapters_take_turns(bench, tiny: Path, tiny_adapters) -> None:
    gap = 0.5
    alone = read_beside_an_answer(bench, tiny, gap, Machine()).steps
    turns = read_beside_an_answer(bench, tiny, gap, Machine(), tiny_adapters).steps
    assert max(step.prompt_tokens for step in alone) == MOST
    # The answer waits for four steps of the other adapter and has the fifth itself.
    largest = max(step.prompt_tokens for step in turns)
    assert LEAST_CHUNK < largest <= (0.9 * gap / 5 - STEP) / TOKEN
    assert max(step.gap for step in turns if step.gap is not None) <= gap


def test_while_no_answer_runs_prompts_are_read_in_the_largest_chunks(bench, tiny: Path) -> None:
    machine = Machine()
    engine = bench(
        tiny,
        context_type=machine.context,
        clock=machine.clock,
        context_tokens=CONTEXT,
        prompt_chunk_tokens=MOST,
        max_token_gap=0.03,
    )
    engine.engine.observer = steps = Steps()
    engine.submit(Generation(engine.tokens("zone " * 1500)[:1500], 1, GREEDY))[0].end()
    assert [step.prompt_tokens for step in steps.steps] == [32, 64, 128, 256, 256, 256, 256, 252]
    assert {step.gap for step in steps.steps} == {None}


def test_a_machine_that_slows_down_gets_smaller_chunks_while_it_serves(bench, tiny: Path) -> None:
    machine = Machine()
    slowed: list[int] = []

    class Slows(Steps):
        def stepped(self, step: Step) -> None:
            super().stepped(step)
            if len(self.steps) == 12:
                machine.step, machine.token = 3 * STEP, 3 * TOKEN
                slowed.append(step.prompt_tokens)

    steps = read_beside_an_answer(bench, tiny, 0.2, machine, observer=Slows())
    assert 120 <= slowed[0] <= 175
    after = [step for step in steps.beside_answers()[12:] if step.prompt_tokens]
    assert max(step.gap for step in after[6:]) <= 0.2
    assert max(step.prompt_tokens for step in after[6:]) >= 45


def test_many_prompts_are_read_with_the_tokens_of_answers_where_no_chunk_fits_into_the_gap(bench, tiny: Path) -> None:
    machine, prompts, learnt = Passes(), 12, 90
    engine = bench(
        tiny,
        context_type=machine.context,
        clock=machine.clock,
        sequences=prompts + 1,
        prompt_chunk_tokens=MOST,
        max_queue=2 * prompts,
        max_token_gap=0.2,
    )
    begun: list[list[Any]] = []

    def asked(first: int, prompt: int, answer: int) -> Generation:
        # No two begin alike, so that each is read.
        return Generation((first, *[5] * (prompt - 1)), answer, GREEDY)

    class Begins(Steps):
        def stepped(self, step: Step) -> None:
            super().stepped(step)
            if len(self.steps) == learnt:
                begun.append(engine.submit_together([asked(20 + n, prompts, 1) for n in range(prompts)]))

    engine.engine.observer = steps = Begins()
    # By then it is known what a prompt costs, and what one and three answers do.
    learning = [(8, 400), (8, 20), (8, 40), (450, 1)]
    for one in engine.submit_together([asked(10 + n, *sizes) for n, sizes in enumerate(learning)]):
        one.end()
    read = [step for step in steps.steps[learnt:] if step.prompt_tokens]
    assert all(isinstance(one.events[-1], Finished) for one in begun[0])
    assert [step.prompt_tokens for step in read] == [prompts] * prompts
    # With eight tokens of one of them a step takes a third longer, and there are half as many again.
    assert max(step.gap for step in read if step.gap is not None) == pytest.approx(0.07 + 0.012 * (prompts + 1))


def test_a_worker_says_which_chunk_it_takes_and_how_long_tokens_were_apart(start_worker, tiny_slow: Path) -> None:
    """Each step of this model takes 50 ms and more: no chunk is small enough for 2 ms, and each is for 10 s."""
    prompt = [*range(20, 70)] * 6
    for seconds, sizes in ((0.002, {LEAST_CHUNK}), (10.0, {64, 128})):
        worker = start_worker(tiny_slow, max_token_gap_seconds=seconds, stall_after_seconds=60, context_tokens=1024)
        body = {"model": "chat", "temperature": 0, "prompt": [prompt[:20], prompt], "max_tokens": 40}
        assert worker.post("/v1/completions", body).status_code == 200
        assert worker.metric("slicewise_worker_prompt_chunk_tokens") in sizes
        # The last tokens of both, and those of the first while the other one was read.
        gaps = "slicewise_worker_token_gap_seconds"
        assert worker.metric(f"{gaps}_count") >= 39
        within = worker.metric(f"{gaps}_bucket", le=str(seconds))
        assert within == (worker.metric(f"{gaps}_count") if seconds == 10 else 0)


def test_the_largest_chunk_that_the_memory_has_room_for_is_taken(start_worker, tiny: Path) -> None:
    start_backend()
    shape = {"context_tokens": 512, "parallel_sequences": 2, "max_token_gap_seconds": 10, "stall_after_seconds": 60}
    needs = measure(tiny, ContextShape(1024, 2 + 64, 2, "f16", 1), gpu=False).total + CONSTRAINT_BYTES
    more = measure(tiny, ContextShape(1024, 2 + 128, 2, "f16", 1), gpu=False).total + CONSTRAINT_BYTES
    # What a child counts beside the buffers differs by a few bytes from process to process; the buffers by 200 kB.
    few = (more - needs) // 4
    body = {"model": "chat", "prompt": [20] * 500, "max_tokens": 1}
    for room, chunk in ((more + few, 128), (needs + few, 64)):
        before = f"from slicewise_worker import fitting, startup; startup.memory_limit = lambda: {room}"
        before += "; fitting.own_bytes = lambda *_: 0"
        worker = start_worker(tiny, before=before, **shape)
        assert worker.post("/v1/completions", body).status_code == 200
        assert worker.metric("slicewise_worker_prompt_chunk_tokens") == chunk
    before = before.replace(str(needs + few), str(needs - few))
    refused = start_worker(tiny, ready=False, before=before, **shape)
    assert (refused.wait(), refused.verdict()["reason"]) == (1, "ModelTooLarge")
    written = start_worker(
        tiny, before=before.replace(str(needs - few), str(2 * more)), prompt_chunk_tokens=300, **shape
    )
    assert written.post("/v1/completions", body).status_code == 200
    assert written.metric("slicewise_worker_prompt_chunk_tokens") == 300
