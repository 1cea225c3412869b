"""The errors in the OpenAPI document: those of the API, and of the gateway in front of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

ALWAYS: Final = {
    400: "A field, a parameter or a header is wrong; the message names it. Or the request is not valid HTTP.",
    401: "The pool asks for keys, and the request has no valid one.",
    408: "The request did not arrive in time.",
    413: "The body is larger than it may be.",
    415: "The body is compressed, or is not of the type that the path takes.",
    426: "The gateway speaks HTTP/1.0, HTTP/1.1 and HTTP/2.",
    429: "The tenant has sent as many requests as it may for now, or has as much here as it may.",
    431: "The headers are too large.",
    500: "The request could not be handled.",
    503: "The database, or the API itself, cannot be reached now, or has no memory for this body.",
}
"""Status → when clients get it, at every path."""
SOME: Final = {
    403: "With a WebSocket handshake: `spec.gateway.cors.allowOrigins` does not have the origin of the page.",
    404: "The tenant has nothing with this id.",
    409: "The state of what is named does not allow this, or the `Idempotency-Key` came with another body before.",
}
"""Status → when clients get it, at the paths that say so."""
_HEADERS: Final = {
    401: {"WWW-Authenticate": "`Bearer`."},
    429: {"Retry-After": "Seconds after which to try again."},
    503: {"Retry-After": "Seconds after which to try again."},
}
_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_KINDS: Final = ["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
_FIELDS: Final = {
    "message": {"type": "string", "minLength": 1, "description": "For people."},
    "type": {"enum": _KINDS},
    "param": {**_TEXT_OR_NULL, "description": "The field, parameter or header that is wrong."},
    "code": {**_TEXT_OR_NULL, "description": "For programs."},
}
ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": list(_FIELDS), "properties": _FIELDS}},
}


def errors_of(more: Iterable[int] = ()) -> dict[str, Any]:
    """Return the responses of an operation that are errors. `more`: statuses beside those of every path."""
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted({*ALWAYS, *more})}


def components() -> dict[str, Any]:
    """Return what `errors_of` refers to."""
    return {f"Error{status}": _error(status, words) for status, words in {**ALWAYS, **SOME}.items()}


def _error(status: int, words: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if headers := _HEADERS.get(status):
        found["headers"] = {name: {"description": text, "schema": _TEXT} for name, text in headers.items()}
    return found
