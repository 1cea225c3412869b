"""What a program of jobs says of itself: bounded, and unknown where it cannot be understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from slicewise.clients.bounded import open_plain_session
from slicewise.clients.jobs import HttpJobs
from slicewise.pool.observed_jobs import Standing


@asynccontextmanager
async def serving(body: bytes, status: int = 200) -> AsyncIterator[int]:
    """Answer with this, on a port of its own."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    app = web.Application()
    app.router.add_get("/v1/standing", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"available": true, "reason": "Available", "message": ""}', Standing(True, "Available")),
        (
            b'{"available": false, "reason": "DatabaseAway", "message": "a\\nb"}',
            Standing(False, "DatabaseAway", "a b"),
        ),
        (b'{"available": false, "reason": "not a word", "message": 7}', Standing(False, "Unknown")),
        (b'{"available": false}', Standing(False, "")),
        (b'{"available": "yes"}', None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"available": true, "message": "' + b"x" * 2**16 + b'"}', None),
    ],
    ids=["good", "bad", "no word", "no reason", "no flag", "a list", "no text", "too large"],
)
async def test_what_it_says_is_bounded(body: bytes, expected: Standing | None) -> None:
    async with serving(body) as port, open_plain_session() as session:
        assert await HttpJobs(session, 30, api_port=port, dispatch_port=9).standing("127.0.0.1", dispatches=False) == (
            expected
        )


async def test_a_dispatcher_has_a_port_of_its_own() -> None:
    async with serving(b'{"available": true}') as port, open_plain_session() as session:
        jobs = HttpJobs(session, 30, api_port=9, dispatch_port=port)
        assert await jobs.standing("127.0.0.1", dispatches=True) == Standing(True, "")
        assert await jobs.standing("127.0.0.1", dispatches=False) is None


async def test_a_refusal_is_unknown() -> None:
    async with serving(b'{"available": true}', 503) as port, open_plain_session() as session:
        assert await HttpJobs(session, 30, api_port=port).standing("127.0.0.1", dispatches=False) is None
