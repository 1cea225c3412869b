"""The worker's HTTP interface: routes, and how each error leaves."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicewise_worker.engine.report import Progress
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import Verdict, WorkerState, livez, readyz, startupz
from slicewise_worker.http.answer import ClientGoneError
from slicewise_worker.http.completions import Served, chat, completion
from slicewise_worker.http.dialects.handlers import count_tokens, messages, responses
from slicewise_worker.http.errors import ApiError, not_started, on_api_error, on_http_exception, on_surprise, shown
from slicewise_worker.http.request_id import RequestIds
from slicewise_worker.settings import WorkerSettings


@dataclass(slots=True)
class Worker:
    """What the routes read; `served` is there once the model is."""

    settings: WorkerSettings
    state: WorkerState
    metrics: WorkerMetrics
    created: int
    served: Served | None = None

    def facts(self) -> dict[str, Any]:
        """Return `/v1/worker`: who this worker is and what computes."""
        device = self.state.device
        return {
            "model": self.settings.model_name,
            "aliases": list(self.settings.model_aliases),
            "chat": self.settings.chat,
            "digest": self.state.digest,
            "digest_verified": bool(self.state.digest),
            "pool": self.settings.pool,
            "revision": self.settings.revision,
            "zone": self.settings.zone,
            "device": device.name if device else "",
            "device_asked": self.settings.device,
            "on_gpu": bool(device and device.on_gpu),
            "reason": device.reason if device else self.state.phase.value,
            "phase": self.state.phase.name.lower(),
            "draining": self.state.draining,
        }


class _ClosingWhileDraining:
    """Asks clients of a draining worker to take their next request elsewhere."""

    def __init__(self, app: ASGIApp, state: WorkerState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._state.draining:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, closing if scope["type"] == "http" else send)


Handler = Callable[[Request], Awaitable[Response]]


def _probe(verdict: Callable[[], Verdict]) -> Handler:
    async def answer(_request: Request) -> Response:
        found = verdict()
        return JSONResponse({"ok": found.ok, "message": found.message}, 200 if found.ok else 503)

    return answer


def _generate(worker: Worker, handler: Callable[[Request, Served], Awaitable[Response]]) -> Handler:
    async def answer(request: Request) -> Response:
        if worker.served is None:
            message = f"The worker is not ready: {startupz(worker.state).message}."
            raise not_started(message, "not_ready")
        try:
            return await handler(request, worker.served)
        except (ClientGoneError, ClientDisconnect):
            return Response(status_code=499)

    return answer


def build_app(worker: Worker) -> Starlette:
    """Return the application that serves `worker`."""
    settings, state = worker.settings, worker.state

    def progress() -> Progress | None:
        return worker.served.engine.progress() if worker.served else None

    def alive() -> Verdict:
        return livez(state, progress(), time.monotonic(), settings.stall_after_seconds)

    def ready() -> Verdict:
        return readyz(state, progress(), time.monotonic(), settings.stall_after_seconds)

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, ApiError):
            worker.metrics.rejected(error.code or str(error.status))
        return await on_api_error(request, error)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", _generate(worker, chat), methods=["POST"]),
            Route("/v1/completions", _generate(worker, completion), methods=["POST"]),
            Route("/v1/responses", _generate(worker, responses), methods=["POST"]),
            Route("/v1/messages", _generate(worker, messages), methods=["POST"]),
            Route("/v1/messages/count_tokens", _generate(worker, count_tokens), methods=["POST"]),
            *_facts(worker),
            Route("/livez", _probe(alive)),
            Route("/readyz", _probe(ready)),
            Route("/startupz", _probe(lambda: startupz(state))),
        ],
        middleware=[Middleware(RequestIds), Middleware(_ClosingWhileDraining, state=state)],
        exception_handlers={ApiError: refuse, HTTPException: on_http_exception, Exception: on_surprise},
    )


def _facts(worker: Worker) -> list[Route]:
    """Return the routes that only tell: models, the worker, metrics."""
    names = (worker.settings.model_name, *worker.settings.model_aliases)
    described = {
        name: {"id": name, "object": "model", "created": worker.created, "owned_by": "slicewise"} for name in names
    }

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": list(described.values())})

    async def model(request: Request) -> Response:
        asked = request.path_params["name"]
        if asked not in described:
            raise ApiError(
                404, f"The model '{shown(asked)}' does not exist here.", code="model_not_found", param="model"
            )
        return JSONResponse(described[asked])

    async def facts(_request: Request) -> Response:
        return JSONResponse(worker.facts())

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(worker.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/v1/worker", facts),
        Route("/metrics", metrics),
    ]
