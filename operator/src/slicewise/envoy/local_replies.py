"""What the gateway itself answers clients: errors with a fixed text for each status, in the shape that the path's clients read.

On Anthropic's paths that is Anthropic's, on all others, unknown ones included, OpenAI's.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import Json
from slicewise.envoy.overload import is_overload
from slicewise.envoy.paths import ANTHROPIC_PATHS, GET_PATHS, JOBS_PATHS, OF_JOBS, POST_PATHS

_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

_REPLIES: Final[dict[int, tuple[str, str, str]]] = {
    400: (_INVALID, "bad_request", "The request is not valid HTTP."),
    401: (
        "authentication_error",
        "invalid_api_key",
        "No valid API key was given: send it as 'Authorization: Bearer' or as 'x-api-key'.",
    ),
    404: (
        _INVALID,
        "not_found",
        f"There is no such path. This gateway serves {', '.join((*POST_PATHS, *GET_PATHS))} and /v1/models/NAME.",
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

_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's types of errors; that of every other status is `invalid_request_error`."""


_OF_JOBS_API: Final = (
    (
        ["UC", "UR", "UT", "UPE", "SI"],
        "outcome_unknown",
        "The jobs API broke off; what was asked may be done or not. With an Idempotency-Key it can be sent again.",
    ),
    (
        ["UF", "UH", "UO", "URX"],
        "jobs_unavailable",
        "The jobs API cannot be reached now; nothing was accepted. Try again later.",
    ),
)
"""Envoy's flags for what it got no answer for from the API of jobs, by whether the API may have had it."""


_FOREIGN_PAGE: Final = (
    "A page of this origin may open no WebSocket here: spec.gateway.cors.allowOrigins does not have it."
)
"""The only 403 of the gateway."""


def build_local_replies(*, jobs: bool = False) -> Json:
    """Return the mapping from a status to its body. The first mapper that fits counts. `jobs`: whether there are paths for jobs."""
    replies = [(status, *reply, _has_status(status)) for status, reply in _REPLIES.items()]
    if jobs:
        replies = [
            (status, kind, code, message.replace(" and /v1", f", {', '.join(JOBS_PATHS)} and /v1"), when)
            for status, kind, code, message, when in replies
        ]
        replies[:0] = [(503, _SERVER, code, message, _of_jobs(flags)) for flags, code, message in _OF_JOBS_API]
        # A body outgrew what is held of it between two tries: no pod of the API has had a byte.
        _, code, message = _OF_JOBS_API[-1]
        replies.append((503, _SERVER, code, message, _has_status(507)))
        replies.append((403, _INVALID, "origin_not_allowed", _FOREIGN_PAGE, _has_status(403)))
    # Its status is 503 for a new request, and 500 where a body was on its way.
    replies.insert(0, (503, _SERVER, "overloaded", _OVERLOADED, is_overload()))
    mappers = []
    for status, kind, code, message, when in replies:
        more: Json = {"status_code": status} if code in {"overloaded", "jobs_unavailable", "outcome_unknown"} else {}
        anthropic = {"type": _ANTHROPIC_TYPES.get(status, _INVALID), "message": message}
        body = {"type": "error", "error": anthropic, "request_id": "%REQ(X-REQUEST-ID)%"}
        mappers.append({**_mapper(status, {"and_filter": {"filters": [_on_anthropic_path(), when]}}, body), **more})
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        mappers.append({**_mapper(status, when, body), **more})
    return {"mappers": mappers}


def _on_anthropic_path() -> Json:
    return {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": ANTHROPIC_PATHS}}}}}


def _of_jobs(flags: list[str]) -> Json:
    path = {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": OF_JOBS}}}}}
    return {"and_filter": {"filters": [path, {"response_flag_filter": {"flags": flags}}]}}


def _has_status(status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"slicewise.unused.reply_{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _mapper(status: int, when: Json, body: Json) -> Json:
    mapper: Json = {
        "filter": when,
        "body_format_override": {"json_format": body, "content_type": "application/json"},
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
