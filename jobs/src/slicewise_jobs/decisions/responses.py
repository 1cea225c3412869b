"""Background responses: what a client asks for with `POST /v1/responses`, and how a job looks as a response."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from slicewise_jobs.decisions.body import RefusedError, Wanted, check_common, encode, read_object
from slicewise_jobs.decisions.lines import RESPONSES
from slicewise_jobs.decisions.states import State

_NOT_SENT: Final = frozenset({"background", "stream", "store"})
_NOT_HERE: Final = ("previous_response_id", "conversation", "prompt")
"""What needs answers that workers do not keep."""
STATUS: Final[Mapping[State, str]] = {
    State.QUEUED: "queued",
    State.WAITING: "queued",
    State.RUNNING: "in_progress",
    State.DONE: "completed",
    State.ERROR: "failed",
    State.EXPIRED: "failed",
    State.CANCELLED: "cancelled",
}
_USUAL: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "model": "",
    "parallel_tool_calls": True,
    "reasoning": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request."""


def read_response(raw: bytes, *, model: str) -> Wanted:
    """Return what is to be run. `model`: what a body without one gets. Raises RefusedError."""
    fields = read_object(raw)
    if fields.get("background") is not True:
        raise RefusedError(
            "'background' is true: other responses are answered at once, by the pool.", param="background"
        )
    check_common(fields, "")
    if fields.get("store") is False:
        raise RefusedError("What runs in the background is stored: leave 'store' out.", param="store")
    for name in _NOT_HERE:
        if fields.get(name) is not None:
            raise RefusedError(f"'{name}' is not supported.", code="unsupported_parameter", param=name)
    given = fields.get("input")
    if given is None:
        raise RefusedError("'input' is missing.", code="missing_required_parameter", param="input")
    if not isinstance(given, str | list) or not given:
        raise RefusedError("'input' is a text or a list, and not empty.", param="input")
    sent = {name: value for name, value in fields.items() if name not in _NOT_SENT}
    if sent.get("model") is None and model:
        sent["model"] = model
    return Wanted(RESPONSES, encode(sent), hashlib.sha256(raw).digest(), None, None)


def open_response(shown_id: str, created_at: int, state: State, error: str | None, asked: bytes) -> dict[str, Any]:
    """Return a response that has no answer. `asked`: the body that is run for it."""
    fields = json.loads(asked)
    repeated = {name: usual if fields.get(name) is None else fields[name] for name, usual in _USUAL.items()}
    failed = STATUS[state] == "failed"
    return {
        "id": shown_id,
        "object": "response",
        "created_at": created_at,
        "status": STATUS[state],
        "background": True,
        "error": {"code": "server_error", "message": error or "The job has expired."} if failed else None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        "store": True,
        **repeated,
    }


def whole_response(shown_id: str, created_at: int, answer: bytes, asked: bytes) -> dict[str, Any]:
    """Return a response with the answer of the pool, under the id that the client knows."""
    try:
        fields = json.loads(answer)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return open_response(shown_id, created_at, State.ERROR, "The answer of the pool is not a response.", asked)
    ours = {"id": shown_id, "created_at": created_at, "background": True, "store": True}
    return {**fields, **ours}
