"""The OpenAPI document of what clients ask of jobs: paths, parameters, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Final

from aiohttp import web

from slicewise_jobs.decisions.body import LONGEST_KEY, MOST_SECONDS, QUERY
from slicewise_jobs.decisions.priority import NAMES
from slicewise_jobs.http import batches, events, files, jobs, listing
from slicewise_jobs.http.openapi.errors import components, errors_of
from slicewise_jobs.http.openapi.schemas import BATCH_ID, FILE_ID, JOB_ID, RESPONSE_ID, SCHEMAS, Json

PATH: Final = "/jobs/openapi.json"
_NUMBER: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_SECONDS}
_KEY: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]*$"}
_PARAMETERS: Final[Mapping[str, tuple[Json, str]]] = {
    "delay_seconds": (_NUMBER, "Not before that many seconds from now."),
    "expires_seconds": (_NUMBER, "Not begun later than that many seconds from now."),
    "priority": ({"enum": list(NAMES), "default": "normal"}, "Orders the jobs of a tenant."),
    "status": ({"enum": SCHEMAS["Job"]["properties"]["status"]["enum"]}, "Only those with this status."),
    "after": ({"type": "string"}, "The id of the last one of the page before."),
    "purpose": ({"type": "string"}, "Only those with this purpose."),
    "order": ({"enum": ["asc", "desc"], "default": "desc"}, "By the time at which they were made."),
    events.LAST_EVENT: ({"type": "string", "maxLength": 64}, "As the header `Last-Event-ID`, which counts before it."),
}
_LAST_EVENT: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has: what came after it is sent.",
    "schema": {"type": "string", "maxLength": 64},
}
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body are the same job, for as long as that is kept.",
    "schema": _KEY,
}
SECURITY: Final[Json] = {
    "bearerKey": {"type": "http", "scheme": "bearer"},
    "xApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
"""As for all other paths of the pool: either one, where the pool asks for keys."""
_RETRY: Final = {"Retry-After": "Seconds after which to ask again, while it has not ended."}
_WORDS: Final = """Requests that may wait, of a pool with `spec.jobs`: jobs, files, batches, and responses in the background. \
Other paths of the pool are in its own document, `/openapi.json`."""


@cache
def written() -> bytes:
    """Return the document as JSON, made at the first call."""
    return json.dumps(document(), separators=(",", ":")).encode()


def document() -> Json:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slicewise jobs", "version": version("slicewise-jobs"), "description": _WORDS},
        "paths": {**_jobs(), **_files(), **_batches(), **_responses(), PATH: {"get": _own()}},
        "security": [{"bearerKey": []}, {"xApiKey": []}, {}],
        "components": {"securitySchemes": SECURITY, "schemas": SCHEMAS, "responses": components()},
    }


def _query(names: Iterable[str], most: int = 0, usual: int = 0) -> list[Json]:
    """Return parameters of the query. `most`: of a page, which has `usual` ones."""
    limit = ({"type": "integer", "minimum": 1, "maximum": most, "default": usual}, "The most that the page has.")
    known = {**_PARAMETERS, "limit": limit}
    return [{"name": name, "in": "query", "description": known[name][1], "schema": known[name][0]} for name in names]


def _named(schema: Json) -> list[Json]:
    return [{"name": "id", "in": "path", "required": True, "schema": schema}]


def _refers(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(words: str, schema: str, headers: Mapping[str, str] | None = None) -> Json:
    found: Json = {"description": words, "content": {"application/json": {"schema": _refers(schema)}}}
    if headers:
        found["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return found


def _operation(
    name: str,
    summary: str,
    good: Mapping[str, Json],
    errors: Iterable[int] = (),
    parameters: Iterable[Json] = (),
    body: Json | None = None,
) -> Json:
    """Return an operation. `good`: status → response; `errors`: statuses beside those of every path."""
    found: Json = {"operationId": name, "summary": summary}
    if parameters := list(parameters):
        found["parameters"] = parameters
    if body:
        found["requestBody"] = {"required": True, "content": body}
    return {**found, "responses": {**good, **errors_of(errors)}}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _jobs() -> Json:
    accepted = _answer("It is durable.", "Accepted", {"Location": "Its path.", **_RETRY})
    streams: dict[str, Json] = {
        "101": {"description": "With a WebSocket handshake: each text is an `Event`."},
        "200": {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        "204": {"description": "The client has had the last event."},
    }
    page = _query(jobs.LIST_QUERY, jobs.MOST_OF_A_PAGE, 20)
    sent = _json({"anyOf": [_refers("Prompt"), _refers("Chat")]})
    last = [*_query([events.LAST_EVENT]), _LAST_EVENT]
    one = _named(JOB_ID)
    return {
        "/jobs": {
            "post": _operation("addJob", "Send a job.", {"202": accepted}, [409], [*_query(QUERY), _IDEMPOTENCY], sent),
            "get": _operation(
                "listJobs", "List the tenant's jobs, newest first.", {"200": _answer("A page.", "Jobs")}, (), page
            ),
        },
        "/jobs/{id}": {
            "get": _operation(
                "getJob",
                "Show a job, with its result once it is done.",
                {"200": _answer("The job.", "JobWithResult", _RETRY)},
                [404],
                one,
            ),
            "delete": _operation(
                "cancelJob",
                "Cancel a job that has not ended.",
                {"200": _answer("It is cancelled, or was before.", "Cancelled")},
                [404, 409],
                one,
            ),
        },
        "/jobs/{id}/events": {
            "get": _operation(
                "followJob", "Follow the states of a job until it has ended.", streams, [403, 404], [*one, *last]
            )
        },
    }


def _files() -> Json:
    one = _named(FILE_ID)
    content = {"description": "The file.", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
    page = _query([*listing.QUERY, *files.LIST_QUERY], files.MOST_OF_A_PAGE, files.MOST_OF_A_PAGE)
    form = {"multipart/form-data": {"schema": _refers("Upload")}}
    return {
        "/v1/files": {
            "post": _operation(
                "createFile", "Send a file.", {"200": _answer("The whole file is durable.", "File")}, (), (), form
            ),
            "get": _operation("listFiles", "List the tenant's files.", {"200": _answer("A page.", "Files")}, (), page),
        },
        "/v1/files/{id}": {
            "get": _operation("getFile", "Show a file.", {"200": _answer("The file.", "File")}, [404], one),
            "delete": _operation(
                "deleteFile",
                "Delete a file that no batch reads.",
                {"200": _answer("It is deleted.", "FileDeleted")},
                [404, 409],
                one,
            ),
        },
        "/v1/files/{id}/content": {
            "get": _operation("getFileContent", "Fetch the content of a file.", {"200": content}, [404], one)
        },
    }


def _batches() -> Json:
    one = _named(BATCH_ID)
    page = _query(listing.QUERY, batches.MOST_OF_A_PAGE, 20)
    return {
        "/v1/batches": {
            "post": _operation(
                "createBatch",
                "Run each line of a file.",
                {"200": _answer("The batch is durable.", "Batch")},
                [404],
                (),
                _json(_refers("NewBatch")),
            ),
            "get": _operation(
                "listBatches",
                "List the tenant's batches, newest first.",
                {"200": _answer("A page.", "Batches")},
                (),
                page,
            ),
        },
        "/v1/batches/{id}": {
            "get": _operation("getBatch", "Show a batch.", {"200": _answer("The batch.", "Batch")}, [404], one)
        },
        "/v1/batches/{id}/cancel": {
            "post": _operation(
                "cancelBatch",
                "Cancel a batch that has not ended; what has an answer is kept.",
                {"200": _answer("It is being cancelled.", "Batch")},
                [404, 409],
                one,
            )
        },
    }


def _responses() -> Json:
    one = _named(RESPONSE_ID)
    shown = {"200": _answer("The response.", "Response", _RETRY)}
    return {
        "/v1/responses": {
            "post": _operation(
                "createResponse",
                "Send a response that runs in the background.",
                {"200": _answer("It is durable, and queued.", "Response")},
                [409],
                [_IDEMPOTENCY],
                _json(_refers("NewResponse")),
            )
        },
        "/v1/responses/{id}": {
            "get": _operation("getResponse", "Show a response.", shown, [404], one),
            "delete": _operation(
                "deleteResponse",
                "Delete a response; one that runs is ended.",
                {"200": _answer("It is deleted.", "ResponseDeleted")},
                [404],
                one,
            ),
        },
        "/v1/responses/{id}/cancel": {
            "post": _operation("cancelResponse", "Cancel a response that has not ended.", shown, [404], one)
        },
    }


def add_to(app: web.Application) -> None:
    """Serve the document."""

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=written(), content_type="application/json")

    app.router.add_get(PATH, serve, allow_head=False)


def _own() -> Json:
    found = {"description": "It.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return _operation("getDocument", "This document.", {"200": found})
