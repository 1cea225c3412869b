"""From a chat's answer to that of OpenAI's Responses API: whole, and event by event. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slicewise_worker.http.dialects.responses_request import FunctionChoice, ResponseRequest

Json = dict[str, Any]
Events = Iterator[tuple[str, Json]]
"""Names of events and their data."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What an answer repeats of its request: the short fields. Instructions and tools have up to 16 MiB, so they are not repeated."""

    fields: Json

    @classmethod
    def of(cls, body: ResponseRequest) -> Echo:
        """Return what is repeated of `body`."""
        choice: Any = body.tool_choice or "auto"
        if isinstance(choice, FunctionChoice):
            choice = {"type": choice.type, "name": choice.name}
        return cls(
            {
                "background": False,
                "instructions": None,
                "max_output_tokens": body.max_output_tokens,
                "metadata": body.metadata or {},
                "parallel_tool_calls": body.parallel_tool_calls is not False,
                "previous_response_id": None,
                "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
                "service_tier": "default",
                "store": False,
                "temperature": 1.0 if body.temperature is None else body.temperature,
                "text": {"format": {"type": "text"}},
                "tool_choice": choice,
                "tools": [],
                "top_p": 1.0 if body.top_p is None else body.top_p,
                "truncation": "disabled",
            }
        )


def whole(chat: Json, echo: Echo) -> Json:
    """Return the response for a chat completion."""
    choice = chat["choices"][0]
    message = choice["message"]
    status = _status(choice["finish_reason"])
    number = chat["id"].partition("-")[2]
    output: list[Json] = []
    if thought := message.get("reasoning_content"):
        output.append(_reasoning(f"rs_{number}", thought, "completed"))
    calls = message.get("tool_calls") or ()
    if message.get("content") or not calls:
        output.append(_message(f"msg_{number}", message.get("content") or "", status))
    output += [
        _call(f"{_prefix(call)}_{number}_{index}", call, _given(call), status) for index, call in enumerate(calls)
    ]
    return _response(chat, echo, status, output, _usage(chat["usage"]))


def _status(reason: str) -> str:
    return "incomplete" if reason == "length" else "completed"


def _response(chat: Json, echo: Echo, status: str, output: list[Json], usage: Json | None) -> Json:
    return {
        "id": "resp_" + chat["id"].partition("-")[2],
        "object": "response",
        "created_at": chat["created"],
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": chat["model"],
        "output": output,
        "usage": usage,
        **echo.fields,
    }


def _usage(usage: Json) -> Json:
    details = usage.get("completion_tokens_details") or {}
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": details.get("reasoning_tokens", 0)},
        "total_tokens": usage["total_tokens"],
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(item_id: str, text: str | None, status: str) -> Json:
    content = [] if text is None else [_text_part(text)]
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def _reasoning(item_id: str, text: str | None, status: str) -> Json:
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {"id": item_id, "type": "reasoning", "summary": [], "content": content, "status": status}


def _prefix(call: Json) -> str:
    return "ctc" if "custom" in call else "fc"


def _given(call: Json) -> str:
    """Return the arguments of a call, or more of them; of a custom tool its input."""
    return (call["custom"].get("input") if "custom" in call else call["function"].get("arguments")) or ""


def _call(item_id: str, call: Json, arguments: str, status: str) -> Json:
    if "custom" in call:
        custom = {"id": item_id, "type": "custom_tool_call", "call_id": call["id"], "name": call["custom"]["name"]}
        return {**custom, "input": arguments, "status": status}
    name = call["function"]["name"]
    found = {"id": item_id, "type": "function_call", "call_id": call["id"], "name": name}
    return {**found, "arguments": arguments, "status": status}


class _Open:
    """The item that is being written."""

    def __init__(self, kind: str, item_id: str, index: int, call: Json | None = None) -> None:
        self.kind = kind
        self.id = item_id
        self.index = index
        self.call = call or {}
        self.parts: list[str] = []

    def item(self, status: str) -> Json:
        """Return it, without content while it is in progress."""
        text = None if status == "in_progress" else "".join(self.parts)
        if self.kind == "reasoning":
            return _reasoning(self.id, text, status)
        return _message(self.id, text, status) if self.kind == "text" else _call(self.id, self.call, text or "", status)

    def part(self, text: str) -> Json:
        """Return the one part of its content."""
        return {"type": "reasoning_text", "text": text} if self.kind == "reasoning" else _text_part(text)


class ResponseEvents:
    """Turns the chunks of a streamed chat into the events of a response."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._sequence = 0
        self._head: Json = {}
        self._open: _Open | None = None
        self._done: list[Json] = []
        self._status = "completed"

    def chunk(self, chunk: Json) -> Events:
        """Yield the events for the next chunk."""
        if not self._head:
            self._head = chunk
            for name in ("created", "in_progress"):
                yield self._event(f"response.{name}", response=self._response("in_progress", None))
        for choice in chunk["choices"]:
            yield from self._delta(choice["delta"])
            if choice["finish_reason"] is not None:
                self._status = _status(choice["finish_reason"])
        if usage := chunk.get("usage"):
            if self._open is None and not self._done:
                yield from self._in_item("text", "msg")
            yield from self._close(self._status)
            yield self._event(f"response.{self._status}", response=self._response(self._status, _usage(usage)))

    def failed(self, error: Json) -> Events:
        """Yield the events for an answer that breaks off."""
        yield from self._close("incomplete")
        response = self._response("failed", None)
        response["error"] = {"code": "server_error", "message": error["message"]}
        yield self._event("response.failed", response=response)

    def _delta(self, delta: Json) -> Events:
        if thought := delta.get("reasoning_content"):
            yield from self._in_item("reasoning", "rs")
            yield from self._text("response.reasoning_text.delta", thought)
        if text := delta.get("content"):
            yield from self._in_item("text", "msg")
            yield from self._text("response.output_text.delta", text, logprobs=[])
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                yield from self._in_item(f"call {call['index']}", _prefix(call), call)
            arguments = _given(call)
            # A chat writes one call after the other.
            if arguments and self._open and self._open.kind == f"call {call['index']}":
                kind = "custom_tool_call_input" if "custom" in call else "function_call_arguments"
                yield from self._text(f"response.{kind}.delta", arguments)

    def _in_item(self, kind: str, prefix: str, call: Json | None = None) -> Events:
        if self._open is not None and self._open.kind == kind:
            return
        yield from self._close("completed")
        index = len(self._done)
        self._open = _Open(kind, f"{prefix}_{self._head['id'].partition('-')[2]}_{index}", index, call)
        yield self._event("response.output_item.added", output_index=index, item=self._open.item("in_progress"))
        if call is None:
            yield self._of_item("response.content_part.added", content_index=0, part=self._open.part(""))

    def _text(self, name: str, text: str, **more: Any) -> Events:
        if self._open is not None:
            self._open.parts.append(text)
            place = {} if self._open.call else {"content_index": 0}
            yield self._of_item(name, **place, delta=text, **more)

    def _close(self, status: str) -> Events:
        if (item := self._open) is None:
            return
        text = "".join(item.parts)
        if "custom" in item.call:
            yield self._of_item("response.custom_tool_call_input.done", input=text)
        elif item.call:
            name = item.call["function"]["name"]
            yield self._of_item("response.function_call_arguments.done", name=name, arguments=text)
        else:
            kind = "reasoning" if item.kind == "reasoning" else "output"
            more: Json = {} if kind == "reasoning" else {"logprobs": []}
            yield self._of_item(f"response.{kind}_text.done", content_index=0, text=text, **more)
            yield self._of_item("response.content_part.done", content_index=0, part=item.part(text))
        self._done.append(item.item(status))
        yield self._event("response.output_item.done", output_index=item.index, item=self._done[-1])
        self._open = None

    def _response(self, status: str, usage: Json | None) -> Json:
        return _response(self._head, self._echo, status, [*self._done], usage)

    def _of_item(self, event: str, **fields: Any) -> tuple[str, Json]:
        place = {"item_id": self._open.id, "output_index": self._open.index} if self._open else {}
        return self._event(event, **place, **fields)

    def _event(self, event: str, **fields: Any) -> tuple[str, Json]:
        number, self._sequence = self._sequence, self._sequence + 1
        return event, {"type": event, "sequence_number": number, **fields}
