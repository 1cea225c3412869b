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
_MOST_FOLLOWED: Final = 100_000


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
        self._sockets: dict[aiohttp.ClientWebSocketResponse, set[bytes]] = {}
        """Each with the jobs of whose changes its API wants to know."""
        self._telling: set[asyncio.Task[None]] = set()
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

    def changed(self, job_id: bytes) -> None:
        """Tell the APIs whose clients follow a job that it has changed."""
        for each, followed in self._sockets.items():
            if job_id in followed:
                task = asyncio.create_task(_tell(each, f"changed {job_id.hex()}"))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

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
            followed: set[bytes] = set()
            self._sockets[link] = followed
            try:
                # What came while there was no connection.
                self._on_jobs()
                await link.send_str(f"want {self._wanted}")
                async for message in link:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._hear(message.data, followed)
            finally:
                del self._sockets[link]

    def _hear(self, text: str, followed: set[bytes]) -> None:
        word, _, rest = text.partition(" ")
        if word == "jobs":
            self._on_jobs()
            return
        with suppress(ValueError):
            job_id = bytes.fromhex(rest)
            if word == "cancel":
                self._on_cancel(job_id)
                # Another API may have cancelled it.
                self.changed(job_id)
            elif word == "follow" and len(followed) < _MOST_FOLLOWED:
                followed.add(job_id)
            elif word == "unfollow":
                followed.discard(job_id)


async def _tell(link: aiohttp.ClientWebSocketResponse, text: str) -> None:
    with suppress(ConnectionError, aiohttp.ClientError):
        await link.send_str(text)
