"""The header of a model file at a source, by requests for its first bytes, with the guards of a fetch. Nothing else of it is read.

Called by `slicewise-worker fit`. The result is a sparse file of the whole size, which a dry run can read.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

import aiohttp

from slicewise_worker.engine.gguf_header import MOST_HEADER_BYTES, HeaderError, LongHeaderError, parse_header
from slicewise_worker.weights.answers import trouble
from slicewise_worker.weights.bounded import paced
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown
from slicewise_worker.weights.origins.location import Location
from slicewise_worker.weights.origins.of import origin_for
from slicewise_worker.weights.settings import Credentials, FetchSettings
from slicewise_worker.weights.source import ClaimSource, label, parse_source
from slicewise_worker.weights.transport import Transport

_FIRST_BYTES: Final = 1 << 20
_MOST_FILE_BYTES: Final = 1 << 43
_RANGE: Final = re.compile(r"bytes (?P<first>[0-9]{1,18})-[0-9]{1,18}/(?P<total>[0-9]{1,18})")


async def fetch_header(settings: FetchSettings, credentials: Credentials, into: Path) -> int:
    """Write the beginning of the file at `settings.source` to `into` and return its whole size in bytes.

    Raises `FetchError`, also for what is no GGUF file or has a header of more than 128 MiB.
    """
    source = parse_source(settings.source, allow_private=settings.allow_private)
    if isinstance(source, ClaimSource):
        raise FetchError(Reason.UNSUPPORTED, f"{label(settings.source)}: mount the claim, and name the file's path")
    async with Transport(
        allow_private=settings.allow_private,
        stall_seconds=settings.stall_seconds,
        ca_file=credentials.ca_file,
        proxies=settings.proxies,
    ) as transport:
        try:
            location = await origin_for(source, transport, credentials).locate()
            return await _read(transport, location, settings, into)
        except TryAgainError as error:
            # A person waits for the answer, and may ask again.
            raise FetchError(error.reason, error.message) from error
        except HeaderError as error:
            raise FetchError(Reason.UNSUPPORTED, f"{label(settings.source)}: no whole GGUF file: {error}") from error


async def _read(transport: Transport, location: Location, settings: FetchSettings, into: Path) -> int:
    found, wanted = bytearray(), _FIRST_BYTES
    while True:
        total = await _more(transport, location, settings, found, wanted)
        try:
            parse_header(bytes(found), total)
            break
        except LongHeaderError:
            if wanted >= MOST_HEADER_BYTES:
                raise
            wanted = min(4 * wanted, MOST_HEADER_BYTES)
    with into.open("wb") as file:
        file.write(found)
        file.truncate(total)
    return total


async def _more(
    transport: Transport, location: Location, settings: FetchSettings, found: bytearray, wanted: int
) -> int:
    """Append to `found` up to `wanted` bytes, or up to the end of the file, whose size in bytes is returned."""
    asked = {"Range": f"bytes={len(found)}-{wanted - 1}"}
    async with transport.request(location.url, headers=asked, auth=location.auth) as response:
        if response.status not in {200, 206}:
            raise await trouble(response, now=time.time(), first=location.url)
        total = _size(response, found)
        if not len(found) <= total <= _MOST_FILE_BYTES:
            raise FetchError(Reason.UNSUPPORTED, f"{shown(response.url)}: says that it has {total} bytes")
        most = min(wanted, total)
        async for piece in paced(response, settings.stall_seconds):
            found += piece[: most - len(found)]
            if len(found) >= most:
                break
        if len(found) < most:
            raise TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(response.url)}: ended after {len(found)} bytes")
        return total


def _size(response: aiohttp.ClientResponse, found: bytearray) -> int:
    """Return the size of the whole file; empties `found` where the answer begins with the file's first byte."""
    where = shown(response.url)
    if response.status == 200:
        found.clear()
        if response.content_length is None:
            raise FetchError(Reason.UNSUPPORTED, f"{where}: does not say how large it is")
        return response.content_length
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match["first"]) != len(found):
        raise FetchError(Reason.UNSUPPORTED, f"{where}: answered with another part than was asked for")
    return int(match["total"])
