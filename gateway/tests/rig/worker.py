"""A worker as the gateway sees one: an HTTP server on a port of its own, which a test tells how to behave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from aiohttp import web


def own_address() -> str:
    """Return an address of this machine that is not the loopback's: the API server takes no loopback address for an endpoint."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


Mode = Literal["ok", "full", "fail", "die", "stream", "refuse", "late"]


class Worker:
    """`mode`: ok; full (503, not started); fail (500); die (reset before an answer); stream (a byte, then on `go` the rest or, with
    `break_stream`, a reset, with `trailer` this line behind the rest); refuse (4xx: `refusal`); late (504, healthy). With `waits` it
    does none of that before `go`, with `hangs` only for each request of which the number is divisible by that."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.name = f"w-{port}"
        self.mode: Mode = "ok"
        self.ready = True
        self.requests = 0
        self.delay = 0.0
        self.waits = False
        self.hangs = 0
        self.refusal = 404
        self.break_stream = False
        self.trailer = b""
        self.last = b"data: last\n\n"
        self.running = 0
        self.body = b""
        self.padding = ""
        self.headers: dict[str, str] = {}
        self.go = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.add_routes([web.get("/readyz", self._readyz), web.route("*", "/{path:.*}", self._answer)])
        sizes = {"max_line_size": 1 << 16, "max_field_size": 1 << 16}
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True, **sizes)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            self.go.set()
            await self._runner.cleanup()
            self._runner = None

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.ready else 503)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.headers = {key.lower(): value for key, value in request.headers.items()}
        self.body = body = await request.read()
        self.running += 1
        try:
            if self.waits or (self.hangs and self.requests % self.hangs == 0):
                await self.go.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            return await self._say(request, body)
        finally:
            self.running -= 1

    async def _say(self, request: web.Request, body: bytes) -> web.StreamResponse:
        match self.mode:
            case "full":
                return web.json_response({}, status=503, headers={"x-slicewise-not-started": "1", "Retry-After": "1"})
            case "late":
                return web.json_response({}, status=504, headers={"x-slicewise-worker-healthy": "1"})
            case "fail":
                return web.json_response({}, status=500)
            case "die":
                if request.transport is not None:
                    request.transport.abort()
            case "refuse":
                return web.json_response({}, status=self.refusal)
            case "stream":
                return await self._stream(request)
        said = {"worker": self.name, "bytes": len(body), "padding": self.padding}
        return web.json_response(said, headers={"x-slicewise-revision": "forged"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if self.trailer:
            response.force_close()
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write(b"data: first\n\n")
            await self.go.wait()
            if self.break_stream and request.transport is not None:
                request.transport.abort()
                return response
            await response.write(self.last)
            if self.trailer and request.transport is not None:
                request.transport.write(b"0\r\n" + self.trailer + b"\r\n\r\n")
                request.transport.close()
                return response
            await response.write_eof()
        return response


StartWorkers = Callable[[int], Awaitable[list[Worker]]]
