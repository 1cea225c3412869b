"""From a chat's answer to Anthropic's: whole, and event by event. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

Json = dict[str, Any]
Events = Iterator[tuple[str, Json]]
"""Names of events and their data."""

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def whole(chat: Json, *, thinking: bool) -> Json:
    """Return Anthropic's message for a chat completion. `thinking`: whether it shows what the model thought."""
    choice = chat["choices"][0]
    message = choice["message"]
    content: list[Json] = []
    if thinking and (thought := message.get("reasoning_content")):
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    if text := message.get("content"):
        content.append({"type": "text", "text": text})
    calls = message.get("tool_calls") or ()
    content += [{**_tool_use(call), "input": _input(call["function"]["arguments"])} for call in calls]
    usage = _used(chat["usage"])
    return {**_head(chat, usage), "content": content, **_stop(choice)}


def _head(chat: Json, usage: Json) -> Json:
    return {
        "id": "msg_" + chat["id"].partition("-")[2],
        "type": "message",
        "role": "assistant",
        "model": chat["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(prompt_tokens: int, cached_tokens: int, output_tokens: int) -> Json:
    """Return Anthropic's `usage`, in which what came from a cache is not part of the input."""
    return {
        "input_tokens": prompt_tokens - cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached_tokens,
        "output_tokens": output_tokens,
    }


def _used(usage: Json) -> Json:
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return _usage(usage["prompt_tokens"], cached, usage["completion_tokens"])


def _stop(choice: Json) -> Json:
    sequence = choice.get("stop_reason")
    if isinstance(sequence, str) and choice["finish_reason"] == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": _STOP_REASONS.get(choice["finish_reason"], "end_turn"), "stop_sequence": None}


def _tool_use(call: Json) -> Json:
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"]}


def _input(arguments: str) -> Json:
    """Return a call's arguments; those of a call that broke off, or that are no object, under a name that says so."""
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": arguments}


class MessageEvents:
    """Turns the chunks of a streamed chat into Anthropic's events."""

    def __init__(self, prompt_tokens: int, cached_tokens: Callable[[], int], *, thinking: bool) -> None:
        """Begin a message; how many tokens of its prompt are cached is asked when the first chunk comes."""
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = cached_tokens
        self._thinking = thinking
        self._block = -1
        """Index of the latest block."""
        self._open = ""
        """What the block that is open holds: thinking, text, or the number of a call; empty where none is open."""
        self._started = False
        self._stop = _stop({"finish_reason": "stop"})

    def chunk(self, chunk: Json) -> Events:
        """Yield the events for the next chunk."""
        if not self._started:
            self._started = True
            message = _head(chunk, _usage(self._prompt_tokens, self._cached_tokens(), 0))
            yield "message_start", {"type": "message_start", "message": message}
            yield "ping", {"type": "ping"}
        for choice in chunk["choices"]:
            yield from self._delta(choice["delta"])
            if choice["finish_reason"] is not None:
                self._stop = _stop(choice)
        if usage := chunk.get("usage"):
            yield from self._end(_used(usage))

    def _delta(self, delta: Json) -> Events:
        if self._thinking and (thought := delta.get("reasoning_content")):
            yield from self._in_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._part({"type": "thinking_delta", "thinking": thought})
        if text := delta.get("content"):
            yield from self._in_block("text", {"type": "text", "text": ""})
            yield self._part({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                yield from self._in_block(f"call {call['index']}", {**_tool_use(call), "input": {}})
            arguments = call["function"].get("arguments")
            # A chat writes one call after the other.
            if arguments and self._open == f"call {call['index']}":
                yield self._part({"type": "input_json_delta", "partial_json": arguments})

    def _in_block(self, kind: str, start: Json) -> Events:
        if self._open == kind:
            return
        yield from self._close()
        self._block += 1
        self._open = kind
        yield "content_block_start", {"type": "content_block_start", "index": self._block, "content_block": start}

    def _part(self, delta: Json) -> tuple[str, Json]:
        return "content_block_delta", {"type": "content_block_delta", "index": self._block, "delta": delta}

    def _close(self) -> Events:
        if self._open:
            self._open = ""
            yield "content_block_stop", {"type": "content_block_stop", "index": self._block}

    def _end(self, usage: Json) -> Events:
        yield from self._close()
        yield "message_delta", {"type": "message_delta", "delta": self._stop, "usage": usage}
        yield "message_stop", {"type": "message_stop"}
