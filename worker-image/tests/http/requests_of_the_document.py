"""Hooks of schemathesis (SCHEMATHESIS_HOOKS), in the environment of locks/schemathesis.txt: what it sends, and what it looks at.

Names of models are made those that are served, most of the time: every other name is a 404 before anything else happens. Two requests
of three keep few optional fields, because any two of them may not go together. Answers are kept short, so that many can be asked for.
"""

from __future__ import annotations

import atexit
import json
import os
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

MODEL = os.environ["MODEL"]
MOST_TOKENS = 8
NEEDED = {"model", "messages", "prompt", "input", "query", "documents", "max_tokens", "stream"}
LIMITS = {
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
    "/v1/messages": ("max_tokens",),
}
BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"text": "x"},
    "thinking": {"thinking": "x"},
    "redacted_thinking": {"data": "x"},
    "tool_use": {"id": "call_1", "name": "f", "input": {}},
    "tool_result": {"tool_use_id": "call_1"},
}
"""Kind of a block in Anthropic's messages → what it needs."""
ANSWERED: Counter[str] = Counter()
"""Path and status → requests."""
atexit.register(lambda: Path(os.environ["ANSWERED"]).write_text(json.dumps(ANSWERED)))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count."""
    ANSWERED[f"{case.operation.path} {response.status_code}"] += 1


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Choose the model, and bound the answer."""
    if not isinstance(body, dict):
        return body
    dice = zlib.crc32(repr(body).encode("utf-8", "replace"))
    if "model" in body and dice % 8:
        body["model"] = MODEL
    if dice % 3:
        body = {
            name: value
            for name, value in body.items()
            if name in NEEDED or zlib.crc32(repr((name, dice)).encode()) % 6 == 0
        }
    if dice % 4:
        _mend(body.get("messages"), anthropic="/v1/messages" in context.operation.path)
    names = LIMITS.get(context.operation.path, ())
    for name in names:
        if isinstance(body.get(name), int | float) and body[name] > MOST_TOKENS:
            body[name] = MOST_TOKENS
    if names and not any(body.get(name) for name in names):
        body[names[0]] = MOST_TOKENS
    return body


def _mend(messages: Any, *, anthropic: bool) -> None:
    """Let messages have what belongs to their role and kind: a schema cannot say it, and few get it by chance."""
    found = [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    for message in found:
        role = message.get("role")
        if anthropic:
            blocks = message.get("content")
            for block in blocks if isinstance(blocks, list) else ():
                if isinstance(block, dict) and isinstance(kind := block.get("type"), str):
                    block |= {name: value for name, value in BLOCKS.get(kind, {}).items() if block.get(name) is None}
        elif role == "tool":
            message["tool_call_id"] = message.get("tool_call_id") or "call_1"
        elif isinstance(role, str):
            message.pop("tool_call_id", None)
            if role != "assistant":
                message.pop("tool_calls", None)
    if anthropic and found:
        found[-1] |= {"role": "user", "content": "Hi"}


@schemathesis.check
def streams_are_whole(ctx: Any, response: Any, case: Any) -> None:
    """Each line of a stream is an event, a comment or empty, each datum is JSON, and the end is there."""
    if response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        lines = response.content.decode().split("\n")
        assert lines[-2:] == ["", ""], lines[-3:]
        assert all(line.startswith((":", "data: ", "event: ")) or not line for line in lines), lines
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        last = data.pop() if data[-1] == "[DONE]" else ""
        events = [json.loads(text) for text in data]
        ends = {"message_stop", "response.completed", "response.incomplete"}
        assert last or events[-1]["type"] in ends, events[-1]
        assert not any(event.get("error") or event.get("type") == "error" for event in events), events


@schemathesis.check
def refusals_say_why(ctx: Any, response: Any, case: Any) -> None:
    """A refusal has words, and few."""
    if response.status_code >= 400 and case.method.upper() != "HEAD":
        message = response.json()["error"]["message"]
        assert 0 < len(message) < 2000, message
