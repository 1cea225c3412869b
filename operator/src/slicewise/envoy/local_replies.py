"""What the gateway itself answers clients: errors in OpenAI's shape, a fixed text for each status."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import Json
from slicewise.envoy.overload import is_overload

_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

_REPLIES: Final[dict[int, tuple[str, str, str]]] = {
    400: (_INVALID, "bad_request", "The request is not valid HTTP."),
    401: ("authentication_error", "invalid_api_key", "No valid API key was given: send it as 'Authorization: Bearer'."),
    404: (
        _INVALID,
        "not_found",
        "There is no such path. This gateway serves /v1/chat/completions, /v1/completions and /v1/models.",
    ),
    408: (_INVALID, "request_timeout", "The request did not arrive in time."),
    413: (_INVALID, "request_too_large", "The request's body is larger than this pool allows."),
    426: (_INVALID, "http_version_not_supported", "The gateway speaks HTTP/1.0, HTTP/1.1 and HTTP/2."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Too many requests for this tenant; try again later."),
    431: (_INVALID, "headers_too_large", "The request's headers are too large."),
    500: (_SERVER, "internal_error", "The gateway failed to handle the request."),
    502: (_SERVER, "bad_gateway", "The worker's answer could not be understood."),
    503: (_SERVER, "no_worker", "No worker can take the request now; try again later."),
    504: (_SERVER, "timeout", "The answer was not complete within this pool's time limit."),
}
_OVERLOADED: Final = "The gateway has no memory left for this request; try again later."
_RETRY_AFTER: Final = {429: "5", 503: "1"}


def build_local_replies() -> Json:
    """Return the mapping from a status to its body, `{"error": {"message", "type", "param", "code"}}`."""
    # Its status is 503 for a new request, and 500 where a body was on its way: the first mapper that fits counts.
    overload = {**_mapper(503, _SERVER, "overloaded", _OVERLOADED), "filter": is_overload(), "status_code": 503}
    return {"mappers": [overload, *(_mapper(status, *reply) for status, reply in _REPLIES.items())]}


def _mapper(status: int, kind: str, code: str, message: str) -> Json:
    mapper: Json = {
        "filter": {
            "status_code_filter": {
                "comparison": {
                    "op": "EQ",
                    "value": {"default_value": status, "runtime_key": f"slicewise.unused.reply_{status}"},
                }
            }
        },
        "body_format_override": {
            "json_format": {"error": {"message": message, "type": kind, "param": None, "code": code}},
            "content_type": "application/json",
        },
    }
    headers = {"retry-after": _RETRY_AFTER[status]} if status in _RETRY_AFTER else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if headers:
        mapper["headers_to_add"] = [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ]
    return mapper
