"""The OpenAPI document of what clients may ask for, made from the models that check their requests. Pure.

The tables of docs/api.md are made from the same models. What a body must be beyond its schema, such as fields that go together, is said
by the error that refuses it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from slicewise_worker.http.dialects.messages_request import CountRequest, MessagesRequest
from slicewise_worker.http.dialects.responses_request import ResponseRequest
from slicewise_worker.http.openapi_errors import REQUIREMENTS, SCHEMAS, SECURITY, error_components, errors_of
from slicewise_worker.http.schema import ChatRequest, CompletionRequest
from slicewise_worker.http.schema_vectors import EmbeddingRequest, RerankRequest

BODIES: Final[dict[str, type[BaseModel]]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/responses": ResponseRequest,
    "/v1/messages": MessagesRequest,
    "/v1/messages/count_tokens": CountRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/v1/rerank": RerankRequest,
}
"""Path → the model of the body that is sent to it by POST."""

_ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "/v1/chat/completions": ("id", "object", "created", "model", "choices", "usage"),
    "/v1/completions": ("id", "object", "created", "model", "choices", "usage"),
    "/v1/responses": ("id", "object", "created_at", "model", "status", "output", "usage"),
    "/v1/messages": ("id", "type", "role", "model", "content", "stop_reason", "usage"),
    "/v1/messages/count_tokens": ("input_tokens",),
    "/v1/embeddings": ("object", "data", "model", "usage"),
    "/v1/rerank": ("id", "object", "model", "results", "usage"),
}
"""Path → the fields that each whole answer has."""

_NAMES: Final = {
    "slicewise_worker__http__dialects__messages_request__": "Messages",
    "slicewise_worker__http__dialects__responses_request__": "Responses",
    "slicewise_worker__http__tool_fields__": "Chat",
}
"""What pydantic puts before names that several modules have → what the document has."""
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_OBJECT: Final = {"type": "object"}
_TEXT: Final = {"type": "string"}
_EVENT: Final = {"type": "object", "required": ["data"], "properties": {"event": _TEXT, "data": _TEXT}}
"""Of a stream the schema is that of each event, as in OpenAI's own document: OpenAPI has a word for it from 3.2 on only."""
_SCHEMAS: Final[dict[str, Any]] = {
    "Model": {
        "type": "object",
        "required": ["id", "object", "created", "owned_by", "max_model_len", "capabilities"],
        "properties": {
            "id": _TEXT,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": _TEXT,
            "max_model_len": {"type": "integer", "minimum": 1},
            "capabilities": {
                "type": "array",
                "items": {"enum": ["chat", "completions", "embeddings", "rerank", "tools"]},
            },
        },
    },
    "Models": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        },
    },
}


@cache
def written() -> bytes:
    """Return the document as JSON, made at the first call."""
    return json.dumps(document(), separators=(",", ":")).encode()


def document() -> dict[str, Any]:
    """Return the document."""
    models = list(dict.fromkeys(BODIES.values()))
    references, made = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template="#/components/schemas/{model}"
    )
    found = {path: references[(model, "validation")] for path, model in BODIES.items()}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slicewise worker",
            "version": version("slicewise-worker"),
            "description": "What clients may ask a pool for: OpenAI's API, and Anthropic's messages.",
        },
        "paths": {
            **{path: {"post": _posted(path, reference)} for path, reference in found.items()},
            "/v1/models": {"get": _got("The names that clients may send as `model`", "Models")},
            "/v1/models/{name}": {"get": _got("What is known of a model", "Model") | {"parameters": [name]}},
            "/openapi.json": {"get": _got("This document", None)},
        },
        "security": REQUIREMENTS,
        "components": {
            "securitySchemes": SECURITY,
            "schemas": {**_renamed(made["$defs"]), **SCHEMAS, **_SCHEMAS},
            "responses": error_components(),
        },
    }


def _renamed(schemas: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(schemas)
    for before, after in _NAMES.items():
        text = text.replace(before, after)
    renamed: dict[str, Any] = json.loads(text, object_hook=_with_bounds)
    return renamed


def _with_bounds(part: dict[str, Any]) -> dict[str, Any]:
    """Call bounds of numbers as JSON schema does; after a validator of our own, pydantic leaves its own names."""
    return {_BOUNDS.get(name, name): value for name, value in part.items()} if part.get("type") == "integer" else part


def _posted(path: str, reference: dict[str, Any]) -> dict[str, Any]:
    answer = {"type": "object", "required": list(_ANSWERS[path])}
    content: dict[str, Any] = {"application/json": {"schema": answer}}
    if "stream" in BODIES[path].model_fields:
        content["text/event-stream"] = {"schema": _EVENT}
    return {
        "operationId": _operation(path),
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
        "responses": {"200": {"description": "The answer", "content": content}, **errors_of(path)},
    }


def _got(description: str, schema: str | None) -> dict[str, Any]:
    found = _OBJECT if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    answer = {"description": description, "content": {"application/json": {"schema": found}}}
    return {"responses": {"200": answer, **errors_of("")}}


def _operation(path: str) -> str:
    return "_".join(path.split("/")[2:])
