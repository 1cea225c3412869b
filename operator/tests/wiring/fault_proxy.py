"""A proxy between an operator under test and the API server, which does what networks and API servers do at their worst.

    async with fault_proxy(server) as proxy:
        proxy.answer(503, when=is_write)          # until proxy.heal()
        proxy.after_write = lambda write: ...     # called when the API server has answered, before the operator learns
        proxy.cut_watches()

Speaks plain HTTP to the operator (`SLICEWISE_SERVER`) and TLS to the API server; passes the operator's token on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from servers.control_plane import ApiServer

WRITE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


@dataclass(frozen=True)
class Seen:
    """One request of the operator."""

    method: str
    path: str
    query: str = ""

    @property
    def is_watch(self) -> bool:
        return "watch=true" in self.query

    @property
    def is_write(self) -> bool:
        """A write to anything but the lease."""
        return self.method in WRITE_METHODS and "/leases" not in self.path


@dataclass
class FaultProxy:
    """The proxy's state; requests consult it as they come."""

    server: ApiServer
    url: str = ""
    requests: list[Seen] = field(default_factory=list)
    after_write: Callable[[Seen], None] | None = None
    _fault: Callable[[Seen], web.Response | None] = field(default=lambda _: None)
    _watches: set[web.StreamResponse] = field(default_factory=set)
    _refusing: bool = False

    def answer(self, status: int, *, when: Callable[[Seen], bool] = lambda _: True, times: int = 10**9) -> None:
        """Answer the next `times` requests that match with `status`, without asking the API server."""
        left = times

        def fault(seen: Seen) -> web.Response | None:
            nonlocal left
            if left <= 0 or not when(seen):
                return None
            left -= 1
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "injected"}
            return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 429 else {})

        self._fault = fault

    def refuse(self) -> None:
        """Reset every connection from now on, those of the watches too."""
        self._refusing = True
        self.cut_watches()

    def heal(self) -> None:
        """Be a plain proxy again."""
        self._fault = lambda _: None
        self._refusing = False

    def cut_watches(self, last_words: bytes = b'{"type":"MODIFIED","object":{"metad') -> None:
        """End all watches, in the middle of a line."""
        for watch in list(self._watches):
            transport = watch._req.transport if watch._req else None
            if transport is not None:
                transport.write(b"%x\r\n%s\r\n" % (len(last_words), last_words))
                transport.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path, request.query_string)
        self.requests.append(seen)
        injected = self._fault(seen)
        if injected is not None:
            return injected
        if self._refusing:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length", "accept-encoding"}
        }
        async with request.app[SESSION].request(
            request.method, self.server.url + request.raw_path, data=await request.read() or None, headers=headers
        ) as upstream:
            if seen.is_watch:
                return await self._stream(request, upstream)
            body = await upstream.read()
            if seen.is_write and self.after_write is not None:
                self.after_write(seen)
            return web.Response(status=upstream.status, body=body, content_type=upstream.content_type)

    async def _stream(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._watches.add(response)
        try:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            self._watches.discard(response)
        return response


@contextlib.asynccontextmanager
async def fault_proxy(server: ApiServer) -> AsyncIterator[FaultProxy]:
    """Run a proxy in front of `server` until the block is left."""
    proxy = FaultProxy(server)
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        app[SESSION] = session
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
            await session.close()
            await asyncio.sleep(
                0.25
            )  # TLS connections close in the background (aiohttp's documentation, "graceful shutdown")
