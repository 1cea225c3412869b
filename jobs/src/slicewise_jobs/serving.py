"""What the programs share: the database, a server on a port, and the signal that ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

from aiohttp import web

from slicewise_jobs.settings import DatabaseSettings
from slicewise_jobs.store.database import Database

_HEAD_BYTES = 64 << 10


def stop_signal() -> asyncio.Event:
    """Return what is set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve(stack: AsyncExitStack, app: web.Application, host: str, port: int, *, leave_seconds: float) -> None:
    """Serve until the stack is closed; requests that run then have `leave_seconds`."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        max_line_size=_HEAD_BYTES,
        max_field_size=_HEAD_BYTES,
        shutdown_timeout=leave_seconds,
        keepalive_timeout=90,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host or None, port, backlog=1024).start()


def open_database(settings: DatabaseSettings) -> Database:
    """Return the database of the settings; no connection is made yet."""
    return Database(
        settings.database_url_file,
        settings.database_ca_file,
        connections=settings.database_connections,
        timeout_seconds=settings.database_timeout_seconds,
    )
