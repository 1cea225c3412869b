"""What is being prepared counts as long as it takes memory or a thread, also after its client has left."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from slicewise_worker.engine.tokenizer import TooLongError
from slicewise_worker.http.answer import ClientGoneError
from slicewise_worker.http.body import BodyLimits
from slicewise_worker.http.completions import parse
from slicewise_worker.http.deadline import Patience
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.intake import Intake, IntakeLimits
from slicewise_worker.http.schema import CompletionRequest

MIB = 1 << 20
DEADLINE = 60


class Client:
    """A client that has sent `size` bytes, and leaves when it is told to."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        self._content = content
        self.leaves = asyncio.Event()
        self.waits = asyncio.Event()
        """Set once its body has been read and handed to a thread."""
        self._size = size
        self.request = Request({"type": "http", "method": "POST", "headers": []}, self._receive)

    async def _receive(self) -> Any:
        if self._content:
            content, self._content, self._size = self._content, b"", 0
            return {"type": "http.request", "body": content, "more_body": False}
        if self._size:
            size, self._size = min(self._size, MIB), max(0, self._size - MIB)
            return {"type": "http.request", "body": b" " * size, "more_body": bool(self._size)}
        self.waits.set()
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Work:
    """A prompt whose preparation lasts until `ends` is set."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ends = threading.Event()

    def __call__(self, data: bytes, _wanted: object) -> int:
        self.began.set()
        assert self.ends.wait(DEADLINE)
        return len(data)


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.ends.set()


def intake(*, requests: int, together: int) -> Intake:
    bodies = BodyLimits(most=16 * MIB, together=together, values=10)
    return Intake(IntakeLimits(bodies, Patience(DEADLINE, DEADLINE), requests))


def ask(taking: Intake, client: Client, work: Work) -> asyncio.Task[int]:
    return asyncio.create_task(taking.prepare(client.request, time.monotonic() + DEADLINE, work))


async def begin(taking: Intake, client: Client, work: Work) -> asyncio.Task[int]:
    task = ask(taking, client, work)
    assert await asyncio.to_thread(work.began.wait, DEADLINE)
    return task


async def leave(client: Client, task: asyncio.Task[int]) -> None:
    client.leaves.set()
    with pytest.raises(ClientGoneError):
        await task


async def test_bodies_of_clients_that_leave_while_the_thread_is_busy_take_no_memory(work: Work) -> None:
    taking = intake(requests=4, together=32 * MIB)
    busy = await begin(taking, Client(MIB), work)
    tracemalloc.start()
    try:
        for _ in range(8):
            client = Client(8 * MIB)
            waiting = ask(taking, client, work)
            await client.waits.wait()
            await leave(client, waiting)
        assert tracemalloc.get_traced_memory()[0] < 4 * MIB
    finally:
        tracemalloc.stop()
    work.ends.set()
    assert await busy == MIB


@pytest.mark.parametrize(
    ("requests", "together", "code"), [(1, 32 * MIB, "queue_full"), (4, 3 * MIB, "out_of_body_memory")]
)
async def test_what_a_thread_is_at_counts_until_the_thread_has_ended(
    work: Work, requests: int, together: int, code: str
) -> None:
    taking = intake(requests=requests, together=together)
    client = Client(2 * MIB)
    await leave(client, await begin(taking, client, work))
    with pytest.raises(ApiError) as refused:
        await ask(taking, Client(2 * MIB), work)
    assert refused.value.code == code
    work.ends.set()
    end = time.monotonic() + DEADLINE
    while taking._taken:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert await ask(taking, Client(2 * MIB), work) == 2 * MIB


def parsed(data: bytes, _wanted: object) -> int:
    parse(data, CompletionRequest)
    return 0


def too_long(data: bytes, _wanted: object) -> int:
    def tokenize(text: str) -> int:
        raise TooLongError(len(text))

    try:
        return tokenize(data.decode())
    except TooLongError as error:
        raise ApiError(400, "too long") from error


@pytest.mark.parametrize("work", [parsed, too_long])
@pytest.mark.parametrize("content", [b" " * (4 * MIB), b'{"prompt": 5, "model": "' + b"x" * (4 * MIB) + b'"}'])
async def test_a_body_that_is_refused_is_gone_when_its_client_knows(work: Any, content: bytes) -> None:
    taking = intake(requests=1, together=32 * MIB)
    gc.collect()
    gc.disable()  # a cycle of references would stay until it runs, which may be after many bodies
    tracemalloc.start()
    try:
        for _ in range(5):
            with pytest.raises(ApiError) as refused:
                await ask(taking, Client(len(content), content), work)
            assert refused.value.status == 400
            del refused
        assert tracemalloc.get_traced_memory()[0] < 4 * MIB
    finally:
        tracemalloc.stop()
        gc.enable()


def entries(taking: Intake) -> int:
    """What is in the queues of its threads: each entry would hold a body until a thread comes to it."""
    return sum(threads._pool._work_queue.qsize() for threads in (taking._small, taking._large, taking._trials))


@pytest.mark.parametrize("size", [1, MIB])
async def test_clients_that_leave_leave_no_entry_for_a_busy_thread(work: Work, size: int) -> None:
    taking = intake(requests=8, together=32 * MIB)
    busy = [await begin(taking, Client(size), work) for _ in range(3)]
    end = time.monotonic() + DEADLINE
    while entries(taking):  # a thread that has just been started may be late to take its own
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    for _ in range(100):
        client = Client(size)
        waiting = ask(taking, client, work)
        await client.waits.wait()
        await leave(client, waiting)
    assert entries(taking) == 0
    assert taking._taken == 3
    work.ends.set()
    assert await asyncio.gather(*busy) == [size] * 3
    assert await ask(taking, Client(size), work) == size


STEPS = st.lists(
    st.tuples(st.just("come"), st.sampled_from([1, 300 << 10, 2 * MIB, 17 * MIB]))
    | st.tuples(st.sampled_from(["leave", "end"]), st.integers(0, 9)),
    max_size=40,
)


async def live(steps: list[tuple[str, int]]) -> None:
    """Let clients come and leave and threads end as `steps` say, within bounds throughout, and nothing left at the end."""
    taking = intake(requests=4, together=6 * MIB)
    there: list[tuple[Client, Work, asyncio.Task[int]]] = []
    for step, number in steps:
        if step == "come":
            client, work = Client(number), Work()
            there.append((client, work, ask(taking, client, work)))
        elif number < len(there):
            client, work, _ = there[number]
            (client.leaves if step == "leave" else work.ends).set()
        for _ in range(5):
            await asyncio.sleep(0)
            assert 0 <= taking._taken <= 4
            assert 0 <= taking._bodies._held <= 6 * MIB
        assert entries(taking) <= 3, "one for each thread, which it is about to take"
    for client, work, task in there:
        work.ends.set()
        client.leaves.set()
        with suppress(ApiError, ClientGoneError):
            await task
    end = time.monotonic() + DEADLINE
    while taking._taken or taking._bodies._held or entries(taking):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert await ask(taking, Client(2 * MIB), work_that_is_over()) == 2 * MIB


def work_that_is_over() -> Work:
    made = Work()
    made.ends.set()
    return made


@settings(deadline=None, max_examples=30)
@given(STEPS)
def test_whatever_clients_do_the_bounds_hold_and_nothing_stays(steps: list[tuple[str, int]]) -> None:
    asyncio.run(live(steps))
