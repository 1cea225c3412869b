"""A client that compares each answer with the OpenAPI document: no status, type, field or header that only one of them has."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator

from jobs_rig.programs import Api
from slicewise_jobs.http.openapi.document import document

DOCUMENT = document()
OPEN = frozenset({"Response"})
"""Schemas of answers that have fields of the pool's besides."""


def closed(schema: Any, *, name: str = "") -> Any:
    """Return a schema that takes no field which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: closed(value) if key != "properties" else {k: closed(v) for k, v in value.items()}
        for key, value in schema.items()
    }
    if "properties" in found and name not in OPEN:
        found.setdefault("additionalProperties", False)
    return found


SCHEMAS = {name: closed(schema, name=name) for name, schema in DOCUMENT["components"]["schemas"].items()}


class Documented:
    """Asks as a tenant, and counts which status each operation was seen with."""

    def __init__(self, session: aiohttp.ClientSession, tenant: str = "acme") -> None:
        self._session = session
        self.headers = {"x-slicewise-tenant": tenant}
        self.seen: defaultdict[str, set[int]] = defaultdict(set)

    async def call(self, api: Api, operation: str, path: str, **more: Any) -> Any:
        """Ask; `operation`: method and path as the document names them. Return the body."""
        method = operation.partition(" ")[0]
        headers = {**self.headers, **more.pop("headers", {})}
        async with self._session.request(method, api.url + path, headers=headers, **more) as answer:
            self.seen[operation].add(answer.status)
            expected = self.response(operation, answer.status)
            missing = {name.lower() for name in expected.get("headers", {})} - {name.lower() for name in answer.headers}
            # A client is asked to come back as long as there is something to come back for.
            assert answer.status == 200 or not missing, (operation, answer.status, missing)
            (kind, content), *_ = expected.get("content", {"": {}}).items()
            assert answer.content_type == (kind or "application/octet-stream"), (operation, answer.status)
            if kind != "application/json":
                return await answer.read() if kind != "text/event-stream" else None
            body = await answer.json()
            check(content["schema"], body)
            return body

    @staticmethod
    def response(operation: str, status: int) -> dict[str, Any]:
        """Return what the document says of a status."""
        method, named = operation.split(" ")
        responses = DOCUMENT["paths"][named][method.lower()]["responses"]
        assert str(status) in responses, f"{operation}: {status} is not in the document"
        found: dict[str, Any] = responses[str(status)]
        return DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def check(schema: dict[str, Any], body: Any) -> None:
    """Fail where a body is other than the schema."""
    whole = {**schema, "components": {"schemas": SCHEMAS}}
    assert [error.message for error in Draft202012Validator(whole).iter_errors(body)] == [], body
