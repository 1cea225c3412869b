"""A fair order of requests that wait for a thread."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from slicewise_worker.engine.constraint import UntriedError
from slicewise_worker.http.body import BodyLimits
from slicewise_worker.http.deadline import Patience
from slicewise_worker.http.intake import Intake, IntakeLimits
from slicewise_worker.http.turns import Turns

MIB = 1 << 20


def test_tenants_take_turns_and_each_tenants_requests_keep_their_order() -> None:
    async def run() -> list[str]:
        turns, order = Turns(1), []
        await turns.acquire("a")

        async def wait(name: str) -> None:
            await turns.acquire(name[0])
            order.append(name)
            turns.release()

        tasks = [asyncio.create_task(wait(name)) for name in ("a1", "a2", "a3", "b1", "c1", "b2")]
        await asyncio.sleep(0)
        turns.release()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_gives_up_leaves_no_turn_behind() -> None:
    async def run() -> None:
        turns = Turns(1)
        await turns.acquire("a")
        waiting = [asyncio.create_task(turns.acquire("b")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        turns.release()
        # Its turn has come, and it gives up before it knows.
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 60)
        turns.release()
        await asyncio.wait_for(turns.acquire("c"), 60)

    asyncio.run(run())


class Tried:
    """Trials that note whose they are."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def passed(self, grammar: str, *, wait: bool = True) -> None:
        """Note a trial; raises `UntriedError` before it."""
        if grammar not in self.order:
            if not wait:
                raise UntriedError(self, grammar)  # type: ignore[arg-type]  # in place of the trials, which start a process
            self.order.append(grammar)


def asking(tenant: str, schema: str) -> Request:
    """Return a request of `tenant` for `schema`."""
    parts = iter([{"type": "http.request", "body": schema.encode(), "more_body": False}])

    async def receive() -> Any:
        return next(parts, None) or await asyncio.Event().wait()

    return Request({"type": "http", "method": "POST", "headers": [(b"x-slicewise-tenant", tenant.encode())]}, receive)


async def turns_of(turns: Turns, count: int) -> None:
    """Return once `count` requests wait."""
    while sum(map(len, turns._waiting.values())) < count:  # noqa: ASYNC110 - the queue has no event for tests
        await asyncio.sleep(0.001)


def test_the_schemas_of_one_client_do_not_delay_those_of_another() -> None:
    tried = Tried()

    def work(data: bytes, _wanted: object) -> None:
        tried.passed(data.decode(), wait=False)

    async def run() -> None:
        limits = BodyLimits(most=MIB, together=8 * MIB, values=10)
        intake = Intake(IntakeLimits(limits, Patience(60, 60), requests=64))
        # Nothing is tried until all of them wait.
        turns = intake._trials._turns
        await turns.acquire("")
        deadline = asyncio.get_running_loop().time() + 600
        tasks = []
        for name in (*(f"a{number}" for number in range(8)), "b0"):
            tasks.append(asyncio.create_task(intake.prepare(asking(name[0], name), deadline, work)))
            await asyncio.wait_for(turns_of(turns, len(tasks)), 60)
        turns.release()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert tried.order[:2] == ["a0", "b0"]
    assert tried.order[2:] == [f"a{number}" for number in range(1, 8)]
