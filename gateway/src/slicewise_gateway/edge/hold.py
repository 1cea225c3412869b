"""The hold over HTTP. Envoy sends here what no worker of a revision can take; it waits, and goes on by Envoy's weights.

What goes on goes to the internal listener, so to whichever revision Envoy chooses then. Where that one has no worker either, it
comes back here, marked, and is refused as not begun: the one that waits hears it and waits on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from slicewise_gateway.edge.body import Body, read_bytes
from slicewise_gateway.edge.errors import error_response
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.edge.relay import stream, unreachable
from slicewise_gateway.edge.request import (
    HELD_HEADER,
    JOB_HEADER,
    NOT_STARTED_HEADER,
    TIMEOUT_HEADER,
    MalformedError,
    check,
    time_left,
)
from slicewise_gateway.edge.upstream import SEND_ERRORS, Upstream, response_headers
from slicewise_gateway.edge.waiting import FullError, WaitingRoom
from slicewise_gateway.edge.waking import Waking

RESENT_HEADER: Final = "x-slicewise-resent"
_ATTEMPT_HEADER: Final = "x-envoy-attempt-count"
_JOBS_SHARE: Final = 0.5
"""Of the room, for jobs: they come again by themselves, and clients find the rest."""
_PAUSE_SECONDS: Final = (0.02, 1.0)
"""Between two tries of a request that was not begun: the first pause, and the longest."""


class Hold:
    """Handles the requests that found no worker. `seconds`: how long one waits at most, now. `waking`: how far the workers are."""

    def __init__(
        self,
        room: WaitingRoom,
        seconds: Callable[[], float],
        upstream: Upstream,
        metrics: EdgeMetrics,
        max_body_bytes: int,
        waking: Callable[[], Waking] = Waking,
    ) -> None:
        self._waking = waking
        self._max_body_bytes = max_body_bytes
        self._room = room
        self._seconds = seconds
        self._upstream = upstream
        self._metrics = metrics
        metrics.waiting.set_function(lambda: room.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if RESENT_HEADER in request.headers:
            return _no_worker(request, 0, {NOT_STARTED_HEADER: "1"})
        started = asyncio.get_running_loop().time()
        outcome = "left"
        try:
            share = _JOBS_SHARE if JOB_HEADER in request.headers else 1
            with self._room.place(request.content_length or 0, share) as place:
                grow = place.grow if request.content_length is None else _known
                body = Body(await read_bytes(request, self._max_body_bytes, grow))
                try:
                    check(body.data)
                except MalformedError as error:
                    outcome = "malformed"
                    self._metrics.malformed.inc()
                    return error_response(400, "invalid_json", str(error), {HELD_HEADER: "0"}, request=request)
                response, outcome = await self._wait(request, body, started)
        except FullError:
            outcome = "full"
            return _no_worker(request, 0, waking=self._waking())
        else:
            return response
        finally:
            if outcome != "malformed":
                self._metrics.held.labels(outcome).inc()

    async def _wait(self, request: web.Request, body: Body, started: float) -> tuple[web.StreamResponse, str]:
        clock = asyncio.get_running_loop().time
        pause, longest = _PAUSE_SECONDS
        end = started + self._seconds()
        more = {RESENT_HEADER: "1"}
        while await self._room.opens(end - clock()):
            left = time_left(request.headers.get(TIMEOUT_HEADER), clock() - started)
            try:
                async with self._upstream.send(request.path_qs, request.headers, body.data, **more, **left) as answer:
                    if answer.status != 503 or NOT_STARTED_HEADER not in answer.headers:
                        body.let_go()
                        held = clock() - started
                        self._metrics.held_seconds.observe(held)
                        headers = response_headers(answer)
                        headers[HELD_HEADER] = f"{held:.3f}"
                        return await stream(request, answer.status, headers, answer.content.iter_any()), "answered"
            except SEND_ERRORS:
                return unreachable(request), "answered"
            # A worker may have died of it before Envoy found no other: then one more may have it, and no third.
            more[_ATTEMPT_HEADER] = "2"
            # Not all at the same moment again.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads load
            pause = min(2 * pause, longest)
        held = clock() - started
        self._metrics.held_seconds.observe(held)
        return _no_worker(request, held, waking=self._waking()), "expired"


def _known(_size: int) -> None:
    """The place was taken for the whole length."""


def _no_worker(
    request: web.Request, held: float, more: dict[str, str] | None = None, *, waking: Waking | None = None
) -> web.Response:
    now = time.time()
    waking = Waking() if waking is None else waking
    # One that found no place comes again soon: places get free before a worker serves.
    after = (waking.seconds(now) or 5) if held else 1
    headers = {HELD_HEADER: f"{held:.3f}", "Retry-After": str(after), **(more or {})}
    return error_response(503, "no_worker", waking.words(now), headers, request=request)
