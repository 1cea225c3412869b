"""Reading bodies: bounded in size, in time, and in what all of them hold together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from slicewise_jobs.decisions.body import RefusedError

_BODY_SECONDS = 30.0


class BusyError(Exception):
    """The bodies of other requests fill the memory that is set aside for them."""


class Intake:
    """The bodies that are in memory now."""

    def __init__(self, most_bytes: int, memory_bytes: int) -> None:
        self._most = most_bytes
        self._free = memory_bytes

    @asynccontextmanager
    async def body(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of a request, which counts until the context ends. Raises RefusedError, BusyError."""
        length = request.content_length
        if length is not None and length > self._most:
            raise self._too_large()
        with self.hold(self._most if length is None else length):
            yield await self._read(request)

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count that many bytes as held until the context ends. Raises BusyError."""
        if size > self._free:
            raise BusyError
        self._free -= size
        try:
            yield
        finally:
            self._free += size

    async def _read(self, request: web.Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > self._most:
                        raise self._too_large()
                    parts.append(part)
        except TimeoutError as error:
            raise RefusedError("The body did not arrive in time.", code="body_too_slow", status=408) from error
        return b"".join(parts)

    def _too_large(self) -> RefusedError:
        return RefusedError(f"The body is larger than {self._most} bytes.", code="body_too_large", status=413)
