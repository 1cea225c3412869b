"""Pods that a test plays: whether an answer of theirs is still waited for, and a worker that always gives the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


async def heard(request: web.Request) -> bool:
    """Whether the operator waits for the answer, which goes out at once then.

    It gives a pod a second and asks once more later. Where this process was stopped for longer, what it finds then is a question whose
    answer nobody hears: that one does not count where a test counts how often a pod is asked.
    """
    await asyncio.sleep(0.05)  # the end of the connection comes behind the question
    return request.transport is not None and not request.transport.is_closing()


@contextlib.asynccontextmanager
async def worker_at(address: str, port: int, path: str, answer: dict[str, Any]) -> AsyncIterator[list[str]]:
    """Answer as a worker pod does on its own address. Yields the paths that were asked for."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        if await heard(request):
            asked.append(request.path)
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get(path, handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield asked
    finally:
        await runner.cleanup()
