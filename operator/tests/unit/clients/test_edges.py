"""What an edge says of its Redis: yes, no, or unknown; never no because it could not be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from slicewise.clients.bounded import open_plain_session
from slicewise.clients.gateways import HttpGateways


@asynccontextmanager
async def serving(body: bytes) -> AsyncIterator[int]:
    """Answer with this, on a port of its own."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/metrics", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("body", "addressed"),
    [
        (b"# HELP x y\nslicewise_edge_redis_addressed 1.0\n", True),
        (b"slicewise_edge_redis_addressed 0.0\nother 1.0\n", False),
        (b"slicewise_edge_redis_left_alone 0.0\n", None),
        (b"slicewise_edge_redis_addressed NaN\n", None),
        (b"slicewise_edge_redis_addressed 01\n", None),
        (b"x slicewise_edge_redis_addressed 1.0\n", None),
        (b"slicewise_edge_redis_addressed 0.0\n" + b"#" * 2**20, None),
        (b"\xff", None),
    ],
    ids=["there", "missing", "an older edge", "no number", "another number", "another line", "too large", "no text"],
)
async def test_what_an_edge_says_of_its_redis_is_yes_no_or_unknown(body: bytes, addressed: bool | None) -> None:
    async with serving(body) as port, open_plain_session() as session:
        assert await HttpGateways(session, 30, edge_port=port).redis("127.0.0.1") is addressed


async def test_an_edge_that_is_not_there_is_unknown() -> None:
    async with open_plain_session() as session:
        assert await HttpGateways(session, 30, edge_port=9).redis("127.0.0.1") is None
