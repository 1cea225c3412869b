"""A server in place of the gateway: it answers as one does, counts what it is asked, and does what a test tells it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web
from servers.processes import free_port

Answer = Callable[[web.Request, dict], Awaitable[web.StreamResponse]]


def no_worker(after: int = 1, **headers: str) -> web.Response:
    """What the gateway answers where no worker is."""
    body = {"error": {"message": "No worker can take the request now.", "type": "server_error", "code": "no_worker"}}
    return web.json_response(body, status=503, headers={"Retry-After": str(after), **headers})


def failed(status: int, message: str) -> web.Response:
    """An error of a worker."""
    return web.json_response({"error": {"message": message, "code": "made"}}, status=status)


class FakeGateway:
    """Runs in the test's own loop. `answer` may be changed at any time."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.answer: Answer = self.echo
        self.asked: Counter[str] = Counter()
        """Prompt → how often it was asked."""
        self.order: list[tuple[str, str]] = []
        """Tenant and prompt of each request."""
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.keeps = True
        """Whether tenant, headers and path of each request are kept."""
        self.on_asked: Callable[[str], object] = lambda _: None
        """Called with the prompt of each request."""
        self.now = 0
        self.most = 0
        self.left: list[str] = []
        """Prompts of requests whose client was gone before the answer."""
        self.probed = 404
        """The status of a request without any field; 404: it tells nothing."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Serve."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024).start()

    async def stop(self) -> None:
        """End; `start` serves again on the same port."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def echo(self, _request: web.Request, body: dict) -> web.StreamResponse:
        """Answer with what was asked."""
        message = {"role": "assistant", "content": f"answer to {prompt_of(body)}"}
        return web.json_response({"object": "chat.completion", "choices": [{"message": message}]})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if body == {}:
            return failed(self.probed, "There is no field 'messages'.")
        prompt = prompt_of(body)
        self.asked[prompt] += 1
        self.on_asked(prompt)
        if self.keeps:
            self.order.append((request.headers.get("x-slicewise-tenant", ""), prompt))
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.paths.append(request.path)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.answer(request, body)
        except asyncio.CancelledError:
            self.left.append(prompt)
            raise
        finally:
            self.now -= 1


def prompt_of(body: dict) -> str:
    """Return what a body asks."""
    return str(body["messages"][-1]["content"] if "messages" in body else body.get("prompt", body.get("input")))


def later(seconds: float, then: Answer) -> Answer:
    """Return an answer that takes its time."""

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await then(request, body)

    return answer
