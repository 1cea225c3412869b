"""Small answers read whole, bounded in size and in time; and numbers out of headers, bounded too.

What a server sends is not trusted: it may never end, come a byte a minute, or name a number with a thousand digits.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown

SMALL_ANSWER_SECONDS: Final = 60.0
"""The whole of a manifest or a token, from its first byte to its last, comes within this time."""
LEAST_BYTES: Final = 64 * 1024
"""What a download must bring within the time of a stall, and before its patience is renewed."""
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,18}")


async def read_small(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body. Raises `FetchError` when it is larger than `max_bytes`, `TryAgainError` when it does not end in time."""
    body = bytearray()
    async with in_time(response, SMALL_ANSWER_SECONDS):
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > max_bytes:
                where = shown(response.url)
                raise FetchError(Reason.UNSUPPORTED, f"{where}: the answer is larger than {max_bytes} bytes")
    return bytes(body)


async def read_start(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return at most the first bytes of the body, for a hint: trouble on the way ends it without an error."""
    body = bytearray()
    try:
        async with asyncio.timeout(SMALL_ANSWER_SECONDS / 6):
            async for piece in response.content.iter_any():
                body += piece
                if len(body) >= max_bytes:
                    break
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        pass
    return bytes(body[:max_bytes])


async def paced(response: aiohttp.ClientResponse, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield the parts of a body as they come. Raises `TryAgainError` when fewer than `LEAST_BYTES` come in this many seconds of waiting.

    A time limit between bytes alone lets a server that sends a byte a minute hold a worker for ever. What the caller does
    with a part does not count as waiting.
    """
    clock, parts = asyncio.get_running_loop().time, aiter(response.content.iter_any())
    came, waited = 0, 0.0
    while True:
        began = clock()
        try:
            part = await anext(parts)
        except StopAsyncIteration:
            return
        came, waited = came + len(part), waited + clock() - began
        yield part
        if came >= LEAST_BYTES:
            came, waited = 0, 0.0
        elif waited > stall_seconds:
            where = shown(response.url)
            raise TryAgainError(Reason.SOURCE_UNREACHABLE, f"{where}: only {came} bytes came in {stall_seconds:g} s")


@asynccontextmanager
async def in_time(response: aiohttp.ClientResponse, seconds: float) -> AsyncIterator[None]:
    """Raise `TryAgainError` when the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        where = shown(response.url)
        raise TryAgainError(
            Reason.SOURCE_UNREACHABLE, f"{where}: the answer did not end within {seconds:g} s"
        ) from error


def read_object(body: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in a small answer. Raises `FetchError` (Unsupported) for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError(
            Reason.UNSUPPORTED, f"{where}: answered something that is not JSON; check the source"
        ) from error
    if not isinstance(found, dict):
        raise FetchError(Reason.UNSUPPORTED, f"{where}: answered JSON that is not an object; check the source")
    return found


def whole_number(text: str | None) -> int | None:
    """Return the number of bytes or seconds that a header names; None for anything that is not one."""
    return int(text) if text is not None and _WHOLE_NUMBER.fullmatch(text) else None
