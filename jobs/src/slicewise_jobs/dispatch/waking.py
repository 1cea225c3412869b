"""What wakes a dispatcher: a connection to each API, over which it says how many jobs it wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiohttp
import structlog

log = structlog.get_logger(__name__)
_RESOLVE_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_HEARTBEAT_SECONDS: Final = 10.0


class Waking:
    """The connections to all addresses that the API's name has; without a name it does nothing."""

    def __init__(
        self,
        host: str,
        port: int,
        session: aiohttp.ClientSession,
        on_jobs: Callable[[], None],
        on_cancel: Callable[[bytes], None],
    ) -> None:
        self._host = host
        self._port = port
        self._session = session
        self._on_jobs = on_jobs
        self._on_cancel = on_cancel
        self._links: dict[str, asyncio.Task[None]] = {}
        self._sockets: set[aiohttp.ClientWebSocketResponse] = set()
        self._wanted = 0

    async def run(self) -> None:
        """Follow the addresses."""
        try:
            if not self._host:
                await asyncio.Event().wait()
            while True:
                with suppress(OSError):
                    await self._follow()
                await asyncio.sleep(_RESOLVE_SECONDS if self._links else _AGAIN_SECONDS)
        finally:
            for link in self._links.values():
                link.cancel()

    async def want(self, jobs: int) -> None:
        """Say how many jobs are wanted."""
        self._wanted = jobs
        for each in list(self._sockets):
            with suppress(ConnectionError, aiohttp.ClientError):
                await each.send_str(f"want {jobs}")

    async def _follow(self) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = {str(entry[4][0]) for entry in found}
        for gone in self._links.keys() - addresses:
            self._links.pop(gone).cancel()
        for new in addresses - self._links.keys():
            self._links[new] = asyncio.create_task(self._keep(new))

    async def _keep(self, address: str) -> None:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/v1/dispatchers"
        while True:
            with suppress(aiohttp.ClientError, OSError):
                await self._listen(url)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self, url: str) -> None:
        async with self._session.ws_connect(url, heartbeat=_HEARTBEAT_SECONDS, max_msg_size=256) as link:
            self._sockets.add(link)
            try:
                # What came while there was no connection.
                self._on_jobs()
                await link.send_str(f"want {self._wanted}")
                async for message in link:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._hear(message.data)
            finally:
                self._sockets.discard(link)

    def _hear(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "jobs":
            self._on_jobs()
        elif word == "cancel":
            with suppress(ValueError):
                self._on_cancel(bytes.fromhex(rest))
