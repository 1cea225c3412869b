"""The errors in the OpenAPI document: a worker's, and those of the gateway in front of it, in the shapes that clients read. Pure.

A test compares the gateway's with what Envoy is configured to answer.
"""

from __future__ import annotations

from typing import Any, Final

from slicewise_worker.http.errors import is_anthropic

ERRORS: Final = {
    400: "A field is wrong; the message names it, and what is allowed. Or the request is not valid HTTP.",
    401: "The pool asks for keys, and the request has no valid one.",
    404: "The model that the request names is not served here, or there is no such path.",
    405: "The path takes another method.",
    408: "The request did not come in time.",
    413: "The body is larger than it may be.",
    426: "The gateway speaks HTTP/1.0, HTTP/1.1 and HTTP/2.",
    429: "The key's tenant has sent as many requests as it may for now.",
    431: "The headers are too large.",
    500: "The worker, the model or the gateway failed.",
    502: "The worker's answer could not be understood.",
    503: "No worker can take the request now.",
    504: "The time allowed for the request was over.",
}
"""Status → when clients get it, on each path."""
HEADERS: Final = {
    401: {"WWW-Authenticate": "`Bearer`."},
    405: {"Allow": "The methods that the path takes."},
    429: {"Retry-After": "Seconds after which to try again."},
    503: {"Retry-After": "Seconds after which to try again."},
}
SECURITY: Final[dict[str, Any]] = {
    "bearerKey": {"type": "http", "scheme": "bearer", "description": "As OpenAI's clients send keys."},
    "xApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "As Anthropic's clients send keys.",
    },
}
"""A pool asks for keys where `spec.gateway.tenantKeysSecretRef` names a Secret with them. It takes one in either way, on every path."""
REQUIREMENTS: Final[list[dict[str, list[str]]]] = [{"bearerKey": []}, {"xApiKey": []}, {}]

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
SCHEMAS: Final[dict[str, Any]] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": _TEXT,
                    "type": {
                        "enum": ["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
                    },
                    "param": _TEXT_OR_NULL,
                    "code": _TEXT_OR_NULL,
                },
            }
        },
    },
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {
                    "type": {
                        "enum": [
                            *("invalid_request_error", "authentication_error", "not_found_error", "request_too_large"),
                            *("rate_limit_error", "api_error", "overloaded_error", "timeout_error"),
                        ]
                    },
                    "message": _TEXT,
                },
            },
            "request_id": _TEXT_OR_NULL,
        },
    },
}


def errors_of(path: str) -> dict[str, Any]:
    """Return the responses of an operation that are errors, as references to `error_components`."""
    shape = "Anthropic" if is_anthropic(path) else "OpenAI"
    return {str(status): {"$ref": f"#/components/responses/{shape}{status}"} for status in ERRORS}


def error_components() -> dict[str, Any]:
    """Return the errors in both shapes."""
    return {
        f"{shape}{status}": _error(status, schema)
        for shape, schema in (("OpenAI", "Error"), ("Anthropic", "AnthropicError"))
        for status in ERRORS
    }


def _error(status: int, schema: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": ERRORS[status],
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
    if headers := HEADERS.get(status):
        found["headers"] = {name: {"description": text, "schema": _TEXT} for name, text in headers.items()}
    return found
