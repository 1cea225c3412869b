"""Answers read whole, bounded in size: for what the agent and the edge ask of Envoy and of the API server."""

from __future__ import annotations

from typing import Final

import aiohttp

SMALL_BYTES: Final = 16 << 20
"""Envoy's own words: its counters and its clusters, at most."""
LIST_BYTES: Final = 64 << 20
"""A list of the API server: more than all EndpointSlices or ConfigMaps of a namespace come to."""
HEADERS: Final = 128
"""Headers of one answer, at most; each is bounded by aiohttp."""


class EncodedError(aiohttp.ClientError):
    """An answer is compressed although that was not requested: its size is unknown before it is decompressed."""


class TooLargeError(aiohttp.ClientError):
    """An answer is larger than anything that was asked for."""


async def read_whole(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body as it came, not decompressed. Raises TooLargeError, EncodedError; the request's own time-out bounds the time."""
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        answer.close()
        raise EncodedError(f"{answer.url.path}: an answer in the encoding {encoding[:20]!r}")
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > max_bytes:
            answer.close()
            raise TooLargeError(f"{answer.url.path}: an answer of more than {max_bytes} bytes")
    return bytes(body)
