"""Waking dispatchers: each is connected to every API and says how many jobs it wants.

A job wakes one dispatcher that wants some, so that many idle ones do not all ask the database. A wake that is lost costs a second:
dispatchers look by themselves, too.

Texts from a dispatcher: `want N`, and `changed ID` of a job that clients follow. Texts to it: `jobs`, `cancel ID` when a running job was
cancelled, and `follow ID` and `unfollow ID`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from slicewise_jobs.http.metrics import ApiMetrics

_HEARTBEAT_SECONDS = 10
_MOST_TEXT = 256


class _Link:
    """One dispatcher's connection: what it wants, and what it has not been sent yet."""

    def __init__(self) -> None:
        self.wants = 0
        self.texts: list[str] = []
        self.something = asyncio.Event()

    def say(self, text: str) -> None:
        self.texts.append(text)
        self.something.set()


class Hub:
    """All dispatchers that are connected to this API."""

    def __init__(self, metrics: ApiMetrics) -> None:
        self._links: OrderedDict[int, _Link] = OrderedDict()
        self._metrics = metrics
        self._unheard = 0
        self._followed: set[bytes] = set()
        self.on_change: Callable[[bytes], None] = lambda _: None
        """Called with the id of a job that may have changed."""

    def wake(self, jobs: int) -> None:
        """Let dispatchers know of that many new jobs, those that were not woken for longest first."""
        for name, link in list(self._links.items()):
            if jobs <= 0:
                return
            if link.wants:
                jobs -= link.wants
                link.wants = 0
                link.say("jobs")
                self._links.move_to_end(name)
        # Between the claim of a dispatcher that finds nothing and its wish there is a moment: the next wish is answered at once.
        self._unheard = max(jobs, 0)

    def cancel(self, job_id: bytes) -> None:
        """Let the dispatcher that runs a job know that it was cancelled."""
        self.on_change(job_id)
        self._say(f"cancel {job_id.hex()}")

    def follow(self, job_id: bytes) -> None:
        """Let dispatchers tell of changes of a job."""
        self._followed.add(job_id)
        self._say(f"follow {job_id.hex()}")

    def unfollow(self, job_id: bytes) -> None:
        """Let dispatchers tell of them no longer."""
        self._followed.discard(job_id)
        self._say(f"unfollow {job_id.hex()}")

    def _say(self, text: str) -> None:
        for link in self._links.values():
            link.say(text)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one dispatcher until it goes."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_MOST_TEXT, compress=False)
        await socket.prepare(request)
        link = _Link()
        for job_id in self._followed:
            link.say(f"follow {job_id.hex()}")
        self._links[id(link)] = link
        self._metrics.dispatchers.set(len(self._links))
        writing = asyncio.create_task(_write(socket, link))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(link, message.data)
        finally:
            writing.cancel()
            del self._links[id(link)]
            self._metrics.dispatchers.set(len(self._links))
        return socket

    def _hear(self, link: _Link, text: str) -> None:
        word, _, number = text.partition(" ")
        if word == "want" and number.isascii() and number.isdigit():
            link.wants = int(number)
            if link.wants and self._unheard:
                self.wake(self._unheard)
        elif word == "changed":
            with suppress(ValueError):
                self.on_change(bytes.fromhex(number))


async def _write(socket: web.WebSocketResponse, link: _Link) -> None:
    with suppress(ConnectionError):
        while True:
            await link.something.wait()
            link.something.clear()
            texts, link.texts = link.texts, []
            for text in texts:
                await socket.send_str(text)
