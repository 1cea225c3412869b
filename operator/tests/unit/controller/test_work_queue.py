"""Which pool gets a pass, and when."""

from __future__ import annotations

import asyncio

import pytest

from slicewise.controller.loop import LONGEST_BACKOFF, backoff
from slicewise.controller.work_queue import WorkQueue

A, B = ("default", "a"), ("default", "b")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queue(clock: Clock) -> WorkQueue:
    queue = WorkQueue(clock)
    queue.gate(True)
    return queue


async def taken(queue: WorkQueue) -> object:
    """Return the pool whose flag is up, or None."""
    try:
        async with asyncio.timeout(0.01):
            return await queue.get()
    except TimeoutError:
        return None


async def test_many_events_make_one_pass(queue: WorkQueue) -> None:
    for _ in range(5):
        queue.add(A)
    assert await taken(queue) == A
    assert await taken(queue) is None


async def test_an_event_during_a_pass_makes_one_more_after_it(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    assert await taken(queue) is None, "passes on one pool never overlap"
    queue.done(A, after=None)
    assert await taken(queue) == A


async def test_pools_are_served_in_the_order_of_their_flags(queue: WorkQueue) -> None:
    queue.add(B)
    queue.add(A)
    assert [await taken(queue), await taken(queue)] == [B, A]


async def test_a_pool_that_somebody_waits_for_comes_first(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B)
    queue.add(B, urgent=True)
    assert [await taken(queue), await taken(queue), await taken(queue)] == [B, A, None]


async def test_a_pass_asks_for_the_next_one_itself(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    await queue.get()
    queue.done(A, after=5)
    assert await taken(queue) is None
    clock.now = 5
    assert await taken(queue) == A


async def test_an_event_comes_before_the_timer_and_takes_its_place(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    await queue.get()
    queue.done(A, after=5)
    queue.add(A)
    assert await taken(queue) == A
    queue.done(A, after=None)
    clock.now = 6
    assert await taken(queue) is None


async def test_events_do_not_shorten_a_back_off_but_a_new_spec_does(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    await queue.get()
    queue.done(A, after=5, hold=True)
    queue.add(A)
    assert await taken(queue) is None
    queue.add(A, urgent=True)
    assert await taken(queue) == A


async def test_a_back_off_ends_by_itself(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    await queue.get()
    queue.done(A, after=5, hold=True)
    clock.now = 5
    assert await taken(queue) == A


async def test_a_new_spec_during_a_pass_that_fails_is_looked_at_at_once(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A, urgent=True)
    queue.done(A, after=30, hold=True)
    assert await taken(queue) == A


async def test_nothing_is_taken_while_the_gate_is_closed(queue: WorkQueue) -> None:
    queue.gate(False)
    queue.add(A)
    assert await taken(queue) is None
    assert queue.waiting == 1
    queue.gate(True)
    assert await taken(queue) == A


async def test_the_end_of_all_passes_can_be_waited_for(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    waiter = asyncio.create_task(queue.quiet())
    await asyncio.sleep(0)
    assert not waiter.done()
    queue.done(A, after=None)
    await waiter


def test_the_back_off_grows_to_half_a_minute_and_never_ends() -> None:
    assert [backoff(n) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert backoff(10_000) == LONGEST_BACKOFF == 30


def test_the_back_off_is_never_shorter_than_the_server_asks_for() -> None:
    assert backoff(1, retry_after=7) == 7
    assert backoff(1, retry_after=3600) == LONGEST_BACKOFF


async def test_a_pool_whose_timer_is_due_waits_and_one_whose_pass_runs_does_not_rest() -> None:
    """After a write the next pass is due at once: between the two nothing may look as if the pool were at rest."""
    queue = WorkQueue(lambda: 5.0)
    queue.gate(True)
    queue.add(("apps", "chat"))
    assert (queue.waiting, queue.running) == (1, 0)
    key = await queue.get()
    assert (queue.waiting, queue.running) == (0, 1)
    queue.done(key, after=0.0)
    assert (queue.waiting, queue.running) == (1, 0)
    queue.done(await queue.get(), after=60.0)
    assert (queue.waiting, queue.running) == (0, 0)
