"""The waiting room: requests that no worker can take, bounded in number, in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_SECONDS: Final = 0.1
"""Seconds between two checks for workers while requests wait; without waiting requests nothing is checked."""


class FullError(Exception):
    """There is no place for another request."""


class Place:
    """Room for one request."""

    def __init__(self, room: WaitingRoom, size: int) -> None:
        self._room = room
        self.size = size

    def grow(self, more: int) -> None:
        """Reserve this many more bytes for a request that did not declare its length. Raises FullError."""
        self._room.add(more)
        self.size += more


class WaitingRoom:
    """`is_open`: whether workers are there. All of a room that opens go at once; the workers' queues say who was too many."""

    def __init__(self, max_requests: int, max_bytes: int, is_open: Callable[[], Awaitable[bool]]) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._is_open = is_open
        self.requests = 0
        self._bytes = 0
        self._waiting = 0
        self._opened = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def place(self, size: int, share: float = 1) -> Iterator[Place]:
        """Reserve a place for a request of this many bytes. Raises FullError, also where this share of the room is taken."""
        if self.requests >= self._max_requests * share or self._bytes + size > self._max_bytes * share:
            raise FullError
        self.add(size)
        self.requests += 1
        place = Place(self, size)
        try:
            yield place
        finally:
            self.requests -= 1
            self._bytes -= place.size

    def add(self, size: int) -> None:
        """Reserve this many bytes. Raises FullError."""
        if self._bytes + size > self._max_bytes:
            raise FullError
        self._bytes += size

    async def opens(self, seconds: float) -> bool:
        """Wait until workers are there, at most so long; return whether they are."""
        self._waiting += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(max(0, seconds)):
                await self._opened.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting -= 1

    async def _look(self) -> None:
        while self._waiting:
            if await self._is_open():
                self._opened.set()
                self._opened = asyncio.Event()
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
