"""Answers on their way to the client. One that is not whole ends in a broken connection, never in a regular end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web
from multidict import CIMultiDict

from slicewise_gateway.edge.body import Body
from slicewise_gateway.edge.errors import error_response
from slicewise_gateway.edge.flight import BrokenError
from slicewise_gateway.edge.request import TIMEOUT_HEADER, time_left
from slicewise_gateway.edge.upstream import SEND_ERRORS, Upstream, response_headers


async def relay(
    request: web.Request, upstream: Upstream, body: Body, started: float, more: Mapping[str, str]
) -> web.StreamResponse:
    """Send a request on as it is and pass the answer on as it comes, with `more` headers. `started`: when it came, by the loop's clock."""
    left = time_left(request.headers.get(TIMEOUT_HEADER), asyncio.get_running_loop().time() - started)
    try:
        async with upstream.send(request.path_qs, request.headers, body, **left) as answer:
            headers = response_headers(answer)
            headers.update(more)
            return await stream(request, answer.status, headers, answer.content.iter_any())
    except SEND_ERRORS:
        return unreachable(request)


async def stream(
    request: web.Request, status: int, headers: CIMultiDict[str], parts: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send an answer part by part."""
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    try:
        async for part in parts:
            await response.write(part)
    except (BrokenError, *SEND_ERRORS):
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def unreachable(request: web.Request) -> web.Response:
    """Return the answer for when Envoy's internal listener is not there."""
    return error_response(502, "bad_gateway", "The gateway could not reach its workers.", request=request)
