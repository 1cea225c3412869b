"""The worker's HTTP interface: routes, and how each error leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicewise_worker.engine.model_kind import Role
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import Verdict, WorkerState, livez, readyz, startupz
from slicewise_worker.http.account import Ended, RequestEnds, write_line
from slicewise_worker.http.answer import ClientGoneError
from slicewise_worker.http.completions import chat, completion
from slicewise_worker.http.dialects.handlers import count_tokens, messages, responses
from slicewise_worker.http.embeddings import embeddings
from slicewise_worker.http.errors import ApiError, not_started, on_api_error, on_http_exception, on_surprise, shown
from slicewise_worker.http.openapi import written
from slicewise_worker.http.request_id import RequestIds
from slicewise_worker.http.rerank import rerank
from slicewise_worker.http.served import Served
from slicewise_worker.http.vectors import ServedVectors
from slicewise_worker.settings import WorkerSettings

_SERVES: Final = {
    Role.TEXT: "generates text only: ask a pool of an embedding model for embeddings, and a pool of a reranker for marks",
    Role.EMBEDDING: "serves embeddings only: use /v1/embeddings",
    Role.RERANK: "serves reranking only: use /v1/rerank",
}


@dataclass(slots=True)
class Worker:
    """What the routes read; `served` is there once the model is."""

    settings: WorkerSettings
    state: WorkerState
    metrics: WorkerMetrics
    created: int
    served: Served | ServedVectors | None = None
    spans: Callable[[Ended], None] | None = None
    """What writes a span of each request; None where no traces are asked for."""

    def describe(self, progress: Callable[[], Progress]) -> None:
        """Let the metrics say which worker this is, and read the engine's `progress`. Once the settings are those that serve."""
        settings, state = self.settings, self.state
        facts = {
            "version": version("slicewise-worker"),
            "llama_cpp_python": version("llama-cpp-python"),
            "pool": settings.pool,
            "revision": settings.revision,
            "zone": settings.zone,
            "model_name": settings.model_name,
            "cpu_code": state.device.cpu_code if state.device else "",
            "digest": state.digest,
        }
        self.metrics.describe(facts, on_gpu=bool(state.device and state.device.on_gpu))
        self.metrics.watch(progress, settings.context_tokens * settings.parallel_sequences, state.constrained)

    def facts(self) -> dict[str, Any]:
        """Return `/v1/worker`: who this worker is and what computes."""
        device = self.state.device
        return {
            "model": self.settings.model_name,
            "aliases": list(self.settings.model_aliases),
            "adapters": list(self.adapters()),
            "chat": self.settings.chat and not isinstance(self.served, ServedVectors),
            "capabilities": self.capabilities(),
            "context_tokens": self.settings.context_tokens if self.state.memory else None,
            "parallel_sequences": self.settings.parallel_sequences if self.state.memory else None,
            "memory": dict(self.state.memory),
            "constrained_places": self.state.constrained,
            "digest": self.state.digest,
            "digest_verified": bool(self.state.digest),
            "pool": self.settings.pool,
            "revision": self.settings.revision,
            "zone": self.settings.zone,
            "device": device.name if device else "",
            "cpu_code": device.cpu_code if device else "",
            "device_asked": self.settings.device,
            "on_gpu": bool(device and device.on_gpu),
            "reason": device.reason if device else self.state.phase.value,
            "phase": self.state.phase.name.lower(),
            "draining": self.state.draining,
            "requests": self.metrics.load(),
        }

    def adapters(self) -> tuple[str, ...]:
        """Return the adapters that clients may ask for by name, none before they are loaded."""
        return () if self.served is None else self.served.adapters

    def capabilities(self) -> list[str]:
        """Return what the model can be asked for, nothing before it is loaded."""
        if self.served is None:
            return []
        if isinstance(self.served, ServedVectors):
            return ["rerank" if self.served.role is Role.RERANK else "embeddings"]
        if not self.settings.chat:
            return ["completions"]
        return ["chat", "completions", *(["tools"] if self.served.template.tools else [])]


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


S = TypeVar("S", Served, ServedVectors)


def _serve(worker: Worker, kind: type[S], role: Role, handler: Callable[[Request, S], Awaitable[Response]]) -> Handler:
    async def answer(request: Request) -> Response:
        served = worker.served
        if served is None:
            message = f"The worker is not ready: {startupz(worker.state).message}."
            raise not_started(message, "not_ready")
        if not isinstance(served, kind) or served.role is not role:
            message = f"The model '{served.model_name}' {_SERVES[served.role]}."
            raise ApiError(400, message, code="task_not_supported", param="model")
        try:
            return await handler(request, served)
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

    tell = [*([write_line] if settings.request_log else []), *([worker.spans] if worker.spans else [])]
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _serve(worker, Served, Role.TEXT, chat), methods=["POST"]),
            Route("/v1/completions", _serve(worker, Served, Role.TEXT, completion), methods=["POST"]),
            Route("/v1/embeddings", _serve(worker, ServedVectors, Role.EMBEDDING, embeddings), methods=["POST"]),
            Route("/v1/rerank", _serve(worker, ServedVectors, Role.RERANK, rerank), methods=["POST"]),
            Route("/v1/responses", _serve(worker, Served, Role.TEXT, responses), methods=["POST"]),
            Route("/v1/messages", _serve(worker, Served, Role.TEXT, messages), methods=["POST"]),
            Route("/v1/messages/count_tokens", _serve(worker, Served, Role.TEXT, count_tokens), methods=["POST"]),
            *_facts(worker),
            Route("/livez", _probe(alive)),
            Route("/readyz", _probe(ready)),
            Route("/startupz", _probe(lambda: startupz(state))),
        ],
        middleware=[
            Middleware(RequestIds),
            *([Middleware(RequestEnds, tell=tell)] if tell else []),
            Middleware(_ClosingWhileDraining, state=state),
        ],
        exception_handlers={ApiError: refuse, HTTPException: on_http_exception, Exception: on_surprise},
    )


def _facts(worker: Worker) -> list[Route]:
    """Return the routes that only tell: models, the worker, metrics."""
    own = (worker.settings.model_name, *worker.settings.model_aliases)

    def names() -> tuple[str, ...]:
        return (*own, *worker.adapters())

    def described(name: str) -> dict[str, Any]:
        known = {"max_model_len": worker.settings.context_tokens, "capabilities": worker.capabilities()}
        # As vLLM has it: what an adapter changes.
        parent = {"parent": own[0]} if name in worker.adapters() else {}
        return {"id": name, "object": "model", "created": worker.created, "owned_by": "slicewise", **parent, **known}

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [described(name) for name in names()]})

    async def model(request: Request) -> Response:
        asked = request.path_params["name"]
        if asked not in names():
            raise ApiError(
                404, f"The model '{shown(asked)}' does not exist here.", code="model_not_found", param="model"
            )
        return JSONResponse(described(asked))

    async def facts(_request: Request) -> Response:
        return JSONResponse(worker.facts())

    async def openapi(_request: Request) -> Response:
        return Response(await asyncio.to_thread(written), media_type="application/json")

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(worker.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/openapi.json", openapi),
        Route("/v1/worker", facts),
        Route("/metrics", metrics),
    ]
