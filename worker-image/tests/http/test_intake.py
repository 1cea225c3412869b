"""What is being prepared counts as long as it takes memory or a thread, also after its client has left."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from slicewise_worker.http.answer import ClientGoneError
from slicewise_worker.http.body import BodyLimits
from slicewise_worker.http.deadline import Patience
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.intake import Intake, IntakeLimits

MIB = 1 << 20
DEADLINE = 60


class Client:
    """A client that has sent `size` bytes, and leaves when it is told to."""

    def __init__(self, size: int) -> None:
        self.leaves = asyncio.Event()
        self.waits = asyncio.Event()
        """Set once its body has been read and handed to a thread."""
        self._size = size
        self.request = Request({"type": "http", "method": "POST", "headers": []}, self._receive)

    async def _receive(self) -> Any:
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
