"""Errors in OpenAI's shape, as Envoy's local replies and the workers give them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the response for an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(body, status=status, headers=headers)
