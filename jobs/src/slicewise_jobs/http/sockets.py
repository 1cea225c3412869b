"""WebSockets to clients: texts go to them, and nothing comes from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

_ALIVE_SECONDS: Final = 15.0
_WRITE_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1024
"""Of a message from a client, which is refused at any size."""


def wants_socket(request: web.Request) -> bool:
    """Return whether a request asks for a WebSocket."""
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


async def serve_socket(
    request: web.Request, texts: AsyncIterator[str], *, whole: Callable[[], bool], alive_seconds: float = _ALIVE_SECONDS
) -> web.WebSocketResponse:
    """Send texts until there are no more, the client goes, or it sends something.

    `whole`: whether the texts that have ended were all, or the client shall connect again for more. `alive_seconds`: between two pings; a
    client that does not answer one in half that time is gone.
    """
    socket = web.WebSocketResponse(
        heartbeat=alive_seconds, max_msg_size=_MOST_BYTES, compress=False, timeout=_CLOSE_SECONDS
    )
    await socket.prepare(request)
    hearing, sending = asyncio.create_task(socket.receive()), asyncio.create_task(_send(socket, texts))
    try:
        done, _ = await asyncio.wait({hearing, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (hearing, sending):
            task.cancel()
        await asyncio.gather(hearing, sending, return_exceptions=True)
    if hearing in done and hearing.result().type in {WSMsgType.TEXT, WSMsgType.BINARY}:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"This socket takes no messages.")
    elif sending in done and sending.result() and whole():
        await socket.close()
    else:
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"Connect again.")
    return socket


async def _send(socket: web.WebSocketResponse, texts: AsyncIterator[str]) -> bool:
    """Return whether all were sent, and not too slowly: the place of a client that reads nothing is for others."""
    with suppress(ConnectionError, TimeoutError):
        async for text in texts:
            async with asyncio.timeout(_WRITE_SECONDS):
                await socket.send_str(text)
        return True
    return False
