"""Errors in OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`, and in Anthropic's on its paths.

Every answer of the worker that is not a success has such a body, whoever raised it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from slicewise_worker.http.account import account_of
from slicewise_worker.http.closed import UNKNOWN_FIELD
from slicewise_worker.http.request_id import REQUEST_ID, request_id_headers

log = structlog.get_logger(__name__)

PATHS = (
    "POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings, POST /v1/rerank, POST /v1/responses, POST /v1/messages, "
    "POST /v1/messages/count_tokens, GET /v1/models, GET /v1/models/{name} and GET /openapi.json"
)
"""What clients may ask for. Probes, metrics and `/v1/worker` are for the cluster."""

NOT_STARTED = {"x-slicewise-not-started": "1"}
"""Tells the gateway that nothing was done for the request, so that it may ask another worker."""

WORKER_HEALTHY = {"x-slicewise-worker-healthy": "1"}
"""Tells the gateway that an error of 500 or more is about the request: the worker is as well as before and gets the next ones."""

_SHOWN_CHARACTERS = 80
_VALUES = reprlib.Repr()
_VALUES.maxlevel, _VALUES.maxstring = 2, _SHOWN_CHARACTERS


class ApiError(Exception):
    """Ends a request with `status`; `param` names the field that is wrong, `code` is a fixed word for programs."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def not_started(message: str, code: str, retry_after: int = 1) -> ApiError:
    """Return a 503 for a request that was not begun; the gateway may send it to another worker."""
    error = ApiError(503, message, code=code, retry_after=retry_after)
    error.headers |= NOT_STARTED
    return error


def of_request(status: int, message: str, code: str) -> ApiError:
    """Return an error of 500 or more that says nothing about the worker's health: the gateway goes on sending requests."""
    error = ApiError(status, message, code=code)
    error.headers |= WORKER_HEALTHY
    return error


def shown(text: str) -> str:
    """Return what a client sent as an error repeats it: no longer than a line."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def _field(location: Sequence[int | str]) -> str:
    """Return `messages[0].content` for `("messages", 0, "content")`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if text else shown(part)
    return text


def from_validation(error: ValidationError) -> ApiError:
    """Return a 400 that names the first wrong field, its value, and what to write instead."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {first['msg']}", code="invalid_json")
    if first["type"] == UNKNOWN_FIELD:
        unknown = _field((*first["loc"], first["ctx"]["name"]))
        return ApiError(400, f"Unknown field '{unknown}': remove it.", code="unknown_parameter", param=unknown)
    field = _field(first["loc"]) or None
    if first["type"] == "missing":
        return ApiError(400, f"Missing field '{field}'.", code="missing_required_parameter", param=field)
    message = (
        f"Invalid '{field}': {first['msg']}, got {shown(_VALUES.repr(first['input']))}."
        if field
        else f"Invalid body: {first['msg']}."
    )
    return ApiError(400, message, code="invalid_value", param=field)


_ANTHROPIC_PATH = "/v1/messages"
_ANTHROPIC_TYPES = {
    404: "not_found_error",
    413: "request_too_large",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}

_ANTHROPIC_DETAILS = {"thread": {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}}
"""What the SDK reads of a refused field: it then goes on without it, and sends the whole conversation each time."""


def is_anthropic(path: str) -> bool:
    """Whether the clients of a path read Anthropic's shape."""
    return path == _ANTHROPIC_PATH or path.startswith(f"{_ANTHROPIC_PATH}/")


def anthropic_error(
    status: int, message: str, request_id: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """Return the JSON body of an error in Anthropic's shape; `param` names the field that is wrong."""
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error")
    named = {} if request_id is None else {"request_id": request_id}
    details = {"details": _ANTHROPIC_DETAILS[param]} if param in _ANTHROPIC_DETAILS else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, **named}


def respond(request: Request, error: ApiError) -> JSONResponse:
    """Return the response for `error`."""
    account_of(request).code = error.code
    body = error.body()
    if is_anthropic(request.url.path):
        body = anthropic_error(error.status, error.message, request.scope.get(REQUEST_ID), error.param)
    return JSONResponse(body, error.status, headers=error.headers)


async def on_api_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    return respond(request, error)


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for what Starlette itself refuses: unknown path, wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    message = f"{request.method} {shown(request.url.path)}: {error.detail}"
    if error.status_code == 404:
        message += f". This worker answers at {PATHS}."
    if allowed := (error.headers or {}).get("Allow"):
        message += f". The path takes {allowed}."
    refused = ApiError(error.status_code, message, code=code)
    refused.headers.update(error.headers or {})
    return respond(request, refused)


async def on_surprise(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for everything else; the client learns that it is not its fault, the log learns why."""
    log.error(
        "request failed",
        method=request.method,
        path=shown(request.url.path),
        request_id=request.scope.get(REQUEST_ID),
        exc_info=error,
    )
    message = "The worker failed to handle the request; its log says why."
    response = respond(request, ApiError(500, message, code="internal_error"))
    # This one does not pass the middleware.
    response.headers.update(request_id_headers(request.scope))
    return response
