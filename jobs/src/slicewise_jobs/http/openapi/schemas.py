"""What clients send and get, as JSON schemas. Pure."""

from __future__ import annotations

from typing import Any, Final

from slicewise_jobs.decisions.batch import (
    FIELDS,
    LEAST_EXPIRY,
    LONGEST_NAME,
    LONGEST_VALUE,
    MOST_EXPIRY,
    MOST_PAIRS,
    UNITS,
    BatchState,
)
from slicewise_jobs.decisions.body import LONGEST_MODEL
from slicewise_jobs.decisions.lines import ENDPOINTS, MOST_ERRORS
from slicewise_jobs.decisions.responses import STATUS
from slicewise_jobs.decisions.states import State
from slicewise_jobs.http.openapi.errors import ERROR

Json = dict[str, Any]
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_ANY: Final[Json] = {}
_SECONDS: Final = {"type": "integer", "description": "Seconds since 1970."}


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(fields: Json, needed: list[str] | None = None, **more: Any) -> Json:
    """Return an object that has all fields, or those that are needed."""
    return {"type": "object", "required": list(fields) if needed is None else needed, "properties": fields, **more}


def _id(kind: str, what: str) -> Json:
    return {"type": "string", "pattern": f"^{kind}[0-9a-f]{{32}}$", "description": what}


def _list(kind: str) -> Json:
    return _object(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{kind}"}},
            "first_id": _or_null(_TEXT),
            "last_id": {"type": ["string", "null"], "description": "For `after` of the next page."},
            "has_more": {"type": "boolean"},
        }
    )


def _deleted(kind: str, word: str) -> Json:
    return _object({"id": _id(kind, "Its id."), "object": {"const": word}, "deleted": {"const": True}})


_SHOWN: Final = list(dict.fromkeys(state.shown for state in State))
_TIME: Final = {"type": "string", "format": "date-time"}
JOB_ID: Final = _id("job_", "The id of a job.")
FILE_ID: Final = _id("file-", "The id of a file.")
BATCH_ID: Final = _id("batch_", "The id of a batch.")
RESPONSE_ID: Final = _id("resp_", "The id of a response.")
_MODEL: Final = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": LONGEST_MODEL,
    "description": "Default: the pool's.",
}
_NO_STREAM: Final = {"enum": [False, None], "description": "A job has one whole answer."}
_EXPIRY: Final = _object(
    {
        "anchor": {"const": "created_at"},
        "seconds": {"type": "integer", "minimum": LEAST_EXPIRY, "maximum": MOST_EXPIRY},
    },
    additionalProperties=False,
)
_METADATA: Final = {
    "type": ["object", "null"],
    "maxProperties": MOST_PAIRS,
    "propertyNames": {"maxLength": LONGEST_NAME},
    "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE},
    "description": "Words of the client's own, which the batch shows.",
}

_JOB: Final[Json] = {
    "job_id": JOB_ID,
    "status": {"enum": _SHOWN},
    "created_at": _TIME,
    "started_at": {**_or_null(_TIME), "description": "Begin of the last attempt."},
    "finished_at": _or_null(_TIME),
    "expires_at": {**_or_null(_TIME), "description": "Not begun after that."},
    "attempts": {**_COUNT, "description": "Attempts that have begun."},
    "error": {
        "anyOf": [{"type": "null"}, _object({"message": _TEXT, "code": {"const": "job_failed"}})],
        "description": "With the status `error`.",
    },
    "last_error": {**_or_null(_TEXT), "description": "Why the last attempt failed, of a job that may be tried again."},
}
_RESULT: Final[Json] = {
    "result": {
        "description": "The answer as the gateway gave it. This and the next two are there once the job is done."
    },
    "servedBy": {**_TEXT, "description": "`slices`, or what answered in their place, such as `cpu-fallback`."},
    "result_status": {"type": "integer", "description": "The status of the answer."},
}
_BATCH_ERROR: Final = _object(
    {"code": _TEXT, "message": _TEXT, "line": _or_null(_COUNT), "param": _or_null(_TEXT)},
)
_BATCH: Final[Json] = {
    "id": BATCH_ID,
    "object": {"const": "batch"},
    "endpoint": {"enum": list(ENDPOINTS)},
    "errors": {
        "anyOf": [
            {"type": "null"},
            _object(
                {"object": {"const": "list"}, "data": {"type": "array", "maxItems": MOST_ERRORS, "items": _BATCH_ERROR}}
            ),
        ],
        "description": "What is wrong with the input of a batch that has failed.",
    },
    "input_file_id": FILE_ID,
    "completion_window": _TEXT,
    "status": {"enum": [state.value for state in BatchState]},
    "output_file_id": {**_or_null(FILE_ID), "description": "Answers, one a line; once the batch has ended."},
    "error_file_id": {**_or_null(FILE_ID), "description": "Lines without an answer; once the batch has ended."},
    "created_at": _SECONDS,
    **{
        name: _or_null(_SECONDS)
        for name in ("in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at")
    },
    "cancelling_at": _or_null(_SECONDS),
    "cancelled_at": _or_null(_SECONDS),
    "request_counts": _object({"total": _COUNT, "completed": _COUNT, "failed": _COUNT}),
    "metadata": {**_or_null({"type": "object"}), "description": "As it was sent."},
}
_RESPONSE: Final[Json] = {
    "id": RESPONSE_ID,
    "object": {"const": "response"},
    "created_at": _SECONDS,
    "status": {"enum": list(dict.fromkeys(STATUS.values()))},
    "background": {"const": True},
    "error": {
        "anyOf": [{"type": "null"}, _object({"code": _TEXT, "message": _TEXT})],
        "description": "With the status `failed`.",
    },
    "incomplete_details": _ANY,
    "output": {"type": "array", "items": {"type": "object"}, "description": "Empty until it is `completed`."},
    "usage": _ANY,
    "store": {"const": True},
}
RESPONSE_NEEDS: Final = ("id", "object", "created_at", "status", "background", "store")
"""What a response has beside the fields of the pool's answer."""

SCHEMAS: Final[dict[str, Json]] = {
    "Error": ERROR,
    "Prompt": _object(
        {
            "prompt": {"type": "string", "minLength": 1},
            "params": {
                "type": ["object", "null"],
                "properties": {"model": _MODEL, "stream": _NO_STREAM, "messages": False, "prompt": False},
                "description": "Fields of a request to `/v1/chat/completions`, such as `max_tokens`.",
            },
        },
        ["prompt"],
        additionalProperties=False,
    ),
    "Chat": _object(
        {
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "model": _MODEL,
            "stream": _NO_STREAM,
        },
        ["messages"],
        description="Any body of `/v1/chat/completions` without `stream`. Fields that the pool refuses end the job with `error`.",
    ),
    "Accepted": _object({"job_id": JOB_ID, "status": {"enum": _SHOWN}, "created_at": _TIME}),
    "Job": _object(_JOB),
    "JobWithResult": _object({**_JOB, **_RESULT}, list(_JOB)),
    "Jobs": _object(
        {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
            "has_more": {"type": "boolean"},
            "next": {**_or_null(_TEXT), "description": "For `after` of the next page."},
        }
    ),
    "Cancelled": _object({"job_id": JOB_ID, "status": {"const": State.CANCELLED.value}}),
    "Event": _object(
        {"id": _TEXT, "event": {"const": "status"}, "data": {"$ref": "#/components/schemas/Job"}},
        description="A state of a job, as a text of a WebSocket; as a server-sent event it has the same three fields.",
    ),
    "Upload": _object(
        {
            "file": {"type": "string", "format": "binary", "description": "Lines of JSON, each a request."},
            "purpose": {"const": "batch"},
            "expires_after[anchor]": {"const": "created_at"},
            "expires_after[seconds]": {"type": "integer", "minimum": LEAST_EXPIRY, "maximum": MOST_EXPIRY},
        },
        ["file", "purpose"],
        dependentRequired={
            "expires_after[anchor]": ["expires_after[seconds]"],
            "expires_after[seconds]": ["expires_after[anchor]"],
        },
        additionalProperties=False,
    ),
    "File": _object(
        {
            "id": FILE_ID,
            "object": {"const": "file"},
            "bytes": _COUNT,
            "created_at": _SECONDS,
            "expires_at": _or_null(_SECONDS),
            "filename": _TEXT,
            "purpose": {"enum": ["batch", "batch_output"]},
            "status": {"const": "processed"},
            "status_details": {"type": "null"},
        }
    ),
    "Files": _list("File"),
    "FileDeleted": _deleted("file-", "file"),
    "NewBatch": _object(
        {
            "input_file_id": FILE_ID,
            "endpoint": {"enum": list(ENDPOINTS)},
            "completion_window": {
                "type": "string",
                "pattern": f"^[1-9][0-9]{{0,4}}[{''.join(UNITS)}]$",
                "description": "A number of minutes, hours or days up to 30 days, such as `24h`.",
            },
            "metadata": _METADATA,
            "output_expires_after": {"anyOf": [{"type": "null"}, _EXPIRY]},
        },
        list(FIELDS[:3]),
        additionalProperties=False,
    ),
    "Batch": _object(_BATCH),
    "Batches": _list("Batch"),
    "NewResponse": _object(
        {
            "background": {"const": True},
            "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
            "model": _MODEL,
            "stream": _NO_STREAM,
            "store": {"enum": [True, None]},
            "previous_response_id": {"type": "null"},
            "conversation": {"type": "null"},
            "prompt": {"type": "null"},
        },
        ["background", "input"],
        description="Any body of `/v1/responses` with `background: true`, but for what needs earlier answers.",
    ),
    "Response": _object(
        _RESPONSE,
        list(RESPONSE_NEEDS),
        description="What the request said is repeated besides; a completed one has the fields of the pool's answer.",
    ),
    "ResponseDeleted": _deleted("resp_", "response"),
}
"""Name → schema."""
