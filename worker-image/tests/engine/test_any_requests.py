"""Whatever comes and goes, on real llama.cpp: each answer ends as it should, no step fails, and the cache holds what the engine says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from any_requests import CONTEXT, DEEDS, SCHEMAS, Answer, Asked, Deed, GivenUp, Steps, give_up, submit
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.callers import NO_TENANT
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits, Piece, Sampling
from slicewise_worker.engine.sequence import Ticket

MOST_STEPS = 50_000
"""For all that one input asks; the longest take a tenth."""
DEADLINE = 120.0
QUEUE = 5
SHAPES = (
    {"sequences": 1, "prompt_chunk_tokens": 7, "constrained": 1},
    {"sequences": 2, "prompt_chunk_tokens": 32, "constrained": 2},
    {"sequences": 3, "prompt_chunk_tokens": 1, "constrained": 1},
    {"sequences": 6, "prompt_chunk_tokens": 16, "constrained": 2},
)


def deliver(events: list[tuple[Ticket, Event]]) -> None:
    for ticket, event in events:
        ticket.on_event(event)


@pytest.fixture(scope="module")
def model(tiny: Path, tiny_adapters: dict[str, Path]) -> Iterator[Model]:
    start_backend()
    model = Model(tiny, gpu=False)
    for name, path in tiny_adapters.items():
        model.load_adapter(name, path)
    yield model
    model.close()


def made(model: Model, number: int) -> Engine:
    limits = Limits(CONTEXT, max_queue=QUEUE, waiting_tokens=300, **SHAPES[number])
    tokens, batch = CONTEXT * limits.sequences, limits.sequences + limits.prompt_chunk_tokens
    shape = ContextShape(tokens, batch, limits.sequences, "q8_0" if number == 1 else "f16", threads=1)
    return Engine(model, Context(model, shape), limits, deliver)


@pytest.fixture(scope="module")
def running(model: Model) -> Iterator[list[Engine]]:
    """Engines with a thread of their own, as in the worker."""
    built = [made(model, number) for number in range(len(SHAPES))]
    for engine in built:
        engine.start()
    yield built
    for engine in built:
        engine.stop()


def play(engine: Engine, deeds: list[Deed], pass_steps: Callable[[int], None]) -> list[Answer]:
    """Do all of `deeds`; return what came of each answer that was taken on."""
    answers: list[Answer] = []
    requests: list[list[Answer]] = []
    for deed in deeds:
        match deed:
            case Asked():
                requests.append(
                    submit(engine, deed, lambda which: engine.model.grammars.json_schema(dict(SCHEMAS[which])))
                )
                answers += requests[-1]
                progress = engine.progress()
                assert progress.running + progress.waiting <= engine.limits.sequences + QUEUE
            case GivenUp(which) if requests:
                give_up(engine, requests[which % len(requests)])
            case Steps(count):
                pass_steps(count)
    return answers


def at_rest(engine: Engine) -> None:
    """Fail where a request left something behind, or the cache holds another number of tokens than the engine says."""
    progress = engine.progress()
    assert (progress.failed, progress.busy, progress.cached_tokens, progress.constrained) == (None, False, 0, 0)
    assert (len(engine._paused), engine._events, engine._removed) == (0, [], [])
    assert len(engine._slots) == engine.limits.sequences
    kept = {slot: one.read for slot, one in engine._slots._kept.items()}
    for slot in range(engine.limits.sequences):
        cells = api.llama_memory_seq_pos_max(engine._context._memory, slot) + 1
        assert cells == kept.get(slot, 0), f"slot {slot}"


@fuzzed(20, st.integers(0, len(SHAPES) - 1), DEEDS)
def test_each_answer_ends_and_the_cache_is_as_before(model: Model, which: int, deeds: list[Deed]) -> None:
    """The test takes the engine's steps itself, so that the same input does the same each time."""
    engine, steps = made(model, which), 0

    def pass_steps(count: int) -> None:
        nonlocal steps
        while count and engine.progress().busy:
            engine._turn()
            count, steps = count - 1, steps + 1
            assert steps < MOST_STEPS, "it does not come to an end"

    try:
        answers = play(engine, deeds, pass_steps)
        pass_steps(MOST_STEPS)
        engine._turn()  # tells those who made room for others after the last step
        for answer in answers:
            answer.check()
        at_rest(engine)
    finally:
        engine.stop()


@fuzzed(8, st.integers(0, len(SHAPES) - 1), DEEDS)
def test_no_answer_is_forgotten_while_the_engine_s_own_thread_steps(
    running: list[Engine], which: int, deeds: list[Deed]
) -> None:
    engine, pause = running[which], threading.Event()

    def until(condition: Callable[[], bool]) -> None:
        for _ in range(int(DEADLINE / 0.001)):
            if condition():
                return
            pause.wait(0.001)
        raise AssertionError(f"did not come true: {engine.progress()}")

    def pass_steps(count: int) -> None:
        wanted = engine.progress().steps + count
        until(lambda: engine.progress().steps >= wanted or not engine.progress().busy)

    answers = play(engine, deeds, pass_steps)
    until(lambda: all(answer.ended or answer.left for answer in answers) and not engine.progress().busy)
    for answer in answers:
        answer.check()


def test_an_answer_that_is_not_as_asked_is_found() -> None:
    asked = Asked(0, 0, (5,), 3, 1, NO_TENANT, Sampling(), stop=("x",))

    def answer(*events: Event) -> Answer:
        return Answer(asked, Generation((5,), 3), list(events))

    answer(Piece("a", 1), Finished("length", "b", 3)).check()
    for wrong in (
        (),
        (Piece("a", 1),),
        (Finished("length", "", 2),),
        (Finished("stop", "", 4),),
        (Finished("stop", "ax", 1),),
        (Finished("length", "", 3), Piece("a", 1)),
        (Finished("length", "", 3), Finished("length", "", 3)),
        (Broken("engine_failed", "words"),),
        (Broken("timeout", "words"),),
    ):
        with pytest.raises(AssertionError):
            answer(*wrong).check()
