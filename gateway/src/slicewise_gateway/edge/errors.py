"""Errors in the shape that a path's clients read, as Envoy's local replies and the workers give them: OpenAI's, or Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

_ANTHROPIC: Final = "/v1/messages"
_ANTHROPIC_TYPES: Final = {413: "request_too_large", 503: "overloaded_error"}


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, *, request: web.Request
) -> web.Response:
    """Return the response for an error of `request`."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    if request.path == _ANTHROPIC or request.path.startswith(f"{_ANTHROPIC}/"):
        kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request.headers.get("x-request-id"),
        }
    return web.json_response(body, status=status, headers=headers)
