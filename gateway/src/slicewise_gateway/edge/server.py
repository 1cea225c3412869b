"""The edge over HTTP: one port for what Envoy sends first, one for what no worker can take, one for numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from slicewise_gateway.edge.errors import error_response
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.edge.request import HELD_HEADER

log = structlog.get_logger(__name__)

_SHOWN_CHARACTERS: Final = 200
"""What the log repeats of a path that a client sent."""

TOLD_BY_WORKERS: Final = ("/v1/models", "/openapi.json")
"""Where clients may send GET. Such a request comes here only while its revision has no worker, and it does not wait."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_door(handle: Handler, max_body_bytes: int) -> web.Application:
    """Return the application behind one of Envoy's endpoints; `/readyz` is for Envoy's health check."""
    app = web.Application(client_max_size=max_body_bytes + 1, middlewares=[_in_a_clients_shape])
    app.add_routes([web.get("/readyz", _ok), web.post("/{path:.*}", handle, expect_handler=_expects)])
    app.on_response_prepare.append(_without_server_name)
    return app


def build_numbers(metrics: EdgeMetrics) -> web.Application:
    """Return the application for Prometheus and the kubelet."""

    async def numbers(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", _ok), web.get("/readyz", _ok), web.get("/metrics", numbers)])
    return app


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


@web.middleware
async def _in_a_clients_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        message = "The request's body is larger than this pool allows."
        return error_response(413, "request_too_large", message, request=request)
    except web.HTTPMethodNotAllowed as error:
        if request.method == "GET" and request.path.startswith(TOLD_BY_WORKERS):
            message = "No worker can answer now; try again later."
            # Three errors without `HELD_HEADER`, and Envoy would leave the edge out.
            headers = {HELD_HEADER: "0", "Retry-After": "5"}
            return error_response(503, "no_worker", message, headers, request=request)
        message = f"{request.method} {request.path}: {error.reason}. The path takes POST."
        return error_response(405, "method_not_allowed", message, {"Allow": "POST"}, request=request)
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        return error_response(error.status, "bad_request", message, request=request)
    except Exception as error:
        if isinstance(error, ConnectionError) or request.writer.output_size:
            # The client is gone, or an answer has begun: it breaks off.
            raise
        log.exception("request failed", method=request.method, path=request.path[:_SHOWN_CHARACTERS])
        message = "The gateway failed to handle the request; its log says why."
        return error_response(500, "internal_error", message, request=request)


async def _expects(request: web.Request) -> None:
    """Let pass what a client expects, as the workers do. aiohttp's own answer to what it does not know is in no client's shape."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _without_server_name(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
