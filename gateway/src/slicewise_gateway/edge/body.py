"""The bodies of requests: how many bytes of them are in memory is bounded, and none is kept longer than it may be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web

READ_SECONDS: Final = 30.0
"""Envoy has the whole body, or most of it, when it asks: longer than this is a client that drips."""
_SMALL_PARTS: Final = 64
"""A body is small if this many of its size fit together."""
_PART_BYTES: Final = 64 << 10

_Turn = tuple[int, asyncio.Future[None]]


class Share:
    """Bytes of a budget that a body holds."""

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        self._size = size

    def shrink(self, size: int) -> None:
        """Lower what is held to this number of bytes."""
        if size < self._size:
            self._budget.give_back(self._size - size)
            self._size = size


class Budget:
    """A number of bytes for all bodies together. A request that does not fit waits in a queue; unread bodies stay with Envoy meanwhile.

    Small bodies do not wait behind large ones, until as much as fits in all has passed the large one that waits longest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.taken = 0
        self._small: deque[_Turn] = deque()
        self._large: deque[_Turn] = deque()
        self._passed = 0
        """Bytes of small bodies that were let in before the first of the large ones."""

    async def take(self, size: int) -> Share:
        """Wait for room; a body larger than all of it takes all of it."""
        size = min(size, self._max_bytes)
        queue = self._small if size <= self._max_bytes // _SMALL_PARTS else self._large
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append((size, turn))
        self._call_next()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            else:
                # Who made room in the same moment has skipped it, and it is no longer there.
                with suppress(ValueError):
                    queue.remove((size, turn))
                self._call_next()
            raise
        return Share(self, size)

    def give_back(self, size: int) -> None:
        """Release this number of bytes, and admit the requests that now fit, in order."""
        self.taken -= size
        self._call_next()

    def _call_next(self) -> None:
        while (queue := self._next()) and self.taken + queue[0][0] <= self._max_bytes:
            size, turn = queue.popleft()
            if turn.done():
                continue
            self.taken += size
            turn.set_result(None)
            self._passed = self._passed + size if queue is self._small and self._large else 0

    def _next(self) -> deque[_Turn]:
        if self._small and self._large:
            return self._small if self._passed < self._max_bytes else self._large
        return self._small or self._large


class Body:
    """The body of one request, until it is let go."""

    def __init__(self, data: bytes = b"", share: Share | None = None) -> None:
        self.data = data
        self._share = share

    def become(self, data: bytes) -> None:
        """Keep these bytes, which say the same, in place of those that came."""
        self.data = data

    def move(self) -> Body:
        """Return another one that has the bytes from now on; this one is empty."""
        moved = Body(self.data, self._share)
        self.data, self._share = b"", None
        return moved

    async def pour(self) -> AsyncIterator[memoryview]:
        """Yield the bytes part by part, and let go of them once the last one was taken."""
        rest = memoryview(self.data)
        try:
            while rest:
                yield rest[:_PART_BYTES]
                rest = rest[_PART_BYTES:]
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Keep nothing: it was sent, and is not sent again."""
        self.data = b""
        if self._share is not None:
            self._share.shrink(0)


async def read_shared(request: web.Request, budget: Budget, max_bytes: int) -> Body:
    """Read a request's body within a budget. Raises HTTPRequestEntityTooLarge, HTTPRequestTimeout."""
    length = request.content_length
    share = await budget.take(max_bytes if length is None else min(length, max_bytes))
    try:
        data = await read_bytes(request, max_bytes, lambda _: None)
    except BaseException:
        share.shrink(0)
        raise
    share.shrink(len(data))
    return Body(data, share)


async def read_bytes(request: web.Request, max_bytes: int, grow: Callable[[int], None]) -> bytes:
    """Read a request's body; `grow` hears of each part before it is kept. Raises HTTPRequestEntityTooLarge, HTTPRequestTimeout.

    Not `request.read()`: the request would keep it for as long as the answer runs.
    """
    if (request.content_length or 0) > max_bytes:
        raise web.HTTPRequestEntityTooLarge(max_bytes, request.content_length or 0)
    data = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.content.iter_any():
                if len(data) + len(part) > max_bytes:
                    raise web.HTTPRequestEntityTooLarge(max_bytes, len(data) + len(part))
                grow(len(part))
                data += part
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(data)
