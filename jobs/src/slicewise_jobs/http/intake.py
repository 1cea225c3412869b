"""Reading bodies: bounded in size, in time, and in what all of them hold together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        held = self._most if length is None else length
        if held > self._free:
            raise BusyError
        self._free -= held
        try:
            yield await self._read(request)
        finally:
            self._free += held

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
