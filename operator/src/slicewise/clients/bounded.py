"""Bounded HTTP: an answer's bytes, its time and its encoding are limited, whatever the other side sends.

Pods are not trusted: whoever writes a pool chooses the worker's image. So nothing is decompressed (a few KiB could become GiB),
the bytes that really arrive are counted (`Content-Length` may be absent or a lie), one deadline covers the whole exchange,
and redirects are not followed. `clients/kube.py` reads the API server through `read_body`, where only compression differs.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
from yarl import URL

T = TypeVar("T")
_IDENTITY: Final = {"Accept-Encoding": "identity"}
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
"""The deadline is `asyncio.timeout`: it covers the connection, the read of the body, and whatever aiohttp does in between."""
_PLAIN: Final = frozenset({"", "identity"})
_PIECE: Final = 64 * 1024
"""Bytes that are decompressed at once."""


class TooLargeError(Exception):
    """An answer is longer than its bound."""


class EncodedError(Exception):
    """An answer is compressed in a way that was not asked for."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An answer that cannot be used, and why: a clause for a message, with the address."""

    reason: str


def open_plain_session() -> aiohttp.ClientSession:
    """Return a session for pods: no credentials, no cookies, no decompression. The caller closes it."""
    return aiohttp.ClientSession(
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "slicewise-operator"}
    )


async def get_text(session: aiohttp.ClientSession, url: URL, *, limit: int, seconds: float) -> str | Unreadable:
    """Return the body of a 200 answer, at most `limit` bytes of UTF-8, which arrived within `seconds` as a whole."""
    where = f"{url.host}:{url.port}"
    try:
        async with (
            asyncio.timeout(seconds),
            session.get(url, headers=_IDENTITY, allow_redirects=False, timeout=_NO_TIMEOUT) as response,
        ):
            if response.status != 200:
                return Unreadable(f"{where} answered {response.status}")
            return (await read_body(response, limit)).decode()
    except TooLargeError:
        return Unreadable(f"{where} answered more than {limit} bytes")
    except EncodedError:
        return Unreadable(f"{where} sent an encoded answer")
    except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError, ValueError) as error:
        return Unreadable(f"{where} cannot be read: {type(error).__name__}")


async def at_most(number: int, calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what the calls return, in their order, while never more than `number` of them run."""
    places = asyncio.Semaphore(number)

    async def one(call: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))


async def read_body(response: aiohttp.ClientResponse, limit: int, *, gzip: bool = False) -> bytes:
    """Return the body of a response of a session that does not decompress; at most `limit` bytes, also once unpacked.

    `gzip`: whether the request allowed that encoding. Raises TooLargeError, EncodedError.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _PLAIN:
        unpack = None
    elif gzip and encoding == "gzip":
        unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    else:
        raise EncodedError(encoding)
    if (response.content_length or 0) > limit:
        raise TooLargeError
    body = bytearray()
    async for chunk in response.content.iter_chunked(_PIECE):
        if unpack is None:
            body += chunk
        else:
            _unpack(unpack, chunk, body, limit)
        if len(body) > limit:
            raise TooLargeError
    if unpack is not None and not unpack.eof:
        raise EncodedError("gzip, cut off")
    return bytes(body)


def _unpack(unpack: zlib._Decompress, chunk: bytes, body: bytearray, limit: int) -> None:
    try:
        while chunk and not unpack.eof and len(body) <= limit:
            body += unpack.decompress(chunk, _PIECE)
            chunk = unpack.unconsumed_tail
    except zlib.error as error:
        raise EncodedError("gzip, damaged") from error
