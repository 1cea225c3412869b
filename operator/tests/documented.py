"""Answers, checked against the OpenAPI document that a worker serves."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from slicewise_worker.http.openapi import document


@cache
def _document() -> dict[str, Any]:
    return document()


def unlike_the_document(path: str, status: int, body: object, headers: Iterable[str] = ()) -> list[str]:
    """Return what of an answer is other than the document says. `headers`: the names of those that it has."""
    found = _document()
    (operation,) = [item for method, item in found["paths"][path].items() if method in {"get", "post"}]
    answer = operation["responses"].get(str(status))
    if answer is None:
        return [f"{status} is not in the document"]
    if "$ref" in answer:
        answer = found["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    missing = answer.get("headers", {}).keys() - {name.title() for name in headers} - {"WWW-Authenticate"}
    schema = {**answer["content"]["application/json"]["schema"], "components": found["components"]}
    return [f"without {name}" for name in missing] + [
        error.message for error in Draft202012Validator(schema).iter_errors(body)
    ]
