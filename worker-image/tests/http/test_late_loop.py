"""An engine that is faster than the event loop: no signal is lost, no backlog grows, no word is missing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Event, Generation, Limits, Piece, Sampling
from slicewise_worker.engine.sequence import Ticket
from slicewise_worker.http.answer import Answer, deliver_into
from slicewise_worker.http.response import AnswerStream

STEPS = 2_000
"""Far more wake-ups than the socket holds by which asyncio is woken."""


def ticket(heard: list[Event]) -> Ticket:
    return Ticket(Generation((1,), 1), heard.append, submitted=0, deadline=inf)


def started(path: Path, context_tokens: int, sequences: int) -> Engine:
    """Start an engine that tells the running loop."""
    start_backend()
    model = Model(path, gpu=False)
    shape = ContextShape(tokens=context_tokens * sequences, batch=32, sequences=sequences, kv_type="f16", threads=1)
    limits = Limits(context_tokens, sequences=sequences, prompt_chunk_tokens=16, max_queue=4)
    engine = Engine(model, Context(model, shape), limits, deliver_into(asyncio.get_running_loop()))
    engine.start()
    return engine


async def test_a_signal_is_heard_though_the_loop_was_late_by_thousands_of_steps() -> None:
    loop, told, heard = asyncio.get_running_loop(), asyncio.Event(), []
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    notify, one = deliver_into(loop), ticket(heard)
    with ThreadPoolExecutor(1) as engine:
        for number in range(STEPS):
            engine.submit(notify, [(one, Piece(f"{number} ", number))])
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is late
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(told.wait(), 60)
    await asyncio.sleep(0.1)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert [event.generated for event in heard] == list(range(STEPS))


async def test_what_a_late_client_has_not_read_comes_as_one_event_a_choice_and_whole(tiny: Path) -> None:
    engine = started(tiny, context_tokens=256, sequences=2)
    asked = [Generation((1, 2, 3), count, Sampling(temperature=0)) for count in (40, 60)]
    try:
        answer = Answer(engine, asked, 3, inf)
        while engine.progress().running + engine.progress().waiting:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is late
        events = [await answer.next() for _ in range(3)]
        read, slowly = "", Answer(engine, asked[1:], 3, inf)
        while (item := await slowly.next()) is not None:
            read += item[1].text
    finally:
        await asyncio.to_thread(engine.stop)
    assert [(item[0], item[1].generated, item[1].reason) for item in events[:2]] == [
        (0, 40, "length"),
        (1, 60, "length"),
    ]
    assert events[2] is None
    counts = {"prompt_tokens": 3, "completion_tokens": 100, "total_tokens": 103}
    assert answer.usage() == counts | {"prompt_tokens_details": {"cached_tokens": 0}}
    assert events[1][1].text == read


async def test_a_client_that_reads_nothing_holds_one_event_and_no_longer_than_its_request_may_take(tiny: Path) -> None:
    engine = started(tiny, context_tokens=32_000, sequences=1)
    answer = Answer(engine, [Generation((1, 2, 3), 30_000, Sampling(temperature=0))], 3, inf)
    held: list[int] = []

    async def events() -> AsyncIterator[bytes]:
        while (item := await answer.next()) is not None:
            yield item[1].text.encode()

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message.get("body"):
            try:
                await asyncio.Event().wait()
            finally:
                held.append(len(answer._pending))

    try:
        stream = AnswerStream(answer, asyncio.get_running_loop().time() + 0.3, events())
        await asyncio.wait_for(stream({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send), 60)
        async with asyncio.timeout(60):
            while engine.progress().running + engine.progress().waiting:  # noqa: ASYNC110 - the engine tells no one
                await asyncio.sleep(0.01)
    finally:
        await asyncio.to_thread(engine.stop)
    assert all(count <= 1 for count in held)
