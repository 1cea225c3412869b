"""Schemas that use up the time of a trial hold up one another, and no request that has none."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from select import select
from typing import Any

from asking import SHORT, open_stream

HOSTILE = 6


def hostile(number: int) -> dict[str, Any]:
    """Return a request whose schema uses up the time of its trial; each number makes another schema."""
    schema = {"type": "integer", "multipleOf": 99_999_989, "title": f"schema {number}"}
    return SHORT | {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


def test_requests_without_a_schema_do_not_wait_for_trials(chat_worker: Any) -> None:
    with ExitStack() as stack:
        waiting: list[socket.socket] = [
            stack.enter_context(open_stream(chat_worker, hostile(number))) for number in range(HOSTILE)
        ]
        # In two threads, the sixth of them would begin after four had ended.
        assert chat_worker.post("/v1/completions", SHORT).status_code == 200
        answered, _, _ = select(waiting, [], [], 0)
        assert len(answered) <= 2
    # What its client has left is not tried.
    chat_worker.until(lambda: chat_worker.post("/v1/completions", SHORT).status_code == 200)


def test_a_schema_that_was_refused_is_refused_again_in_the_same_words(chat_worker: Any) -> None:
    first, second = (chat_worker.post("/v1/completions", hostile(7)) for _ in range(2))
    assert first.status_code == second.status_code == 400
    assert "to compile" in json.dumps(first.json())
    assert first.json() == second.json()
