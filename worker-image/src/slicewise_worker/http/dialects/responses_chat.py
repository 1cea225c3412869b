"""From the items of OpenAI's Responses API to the chat request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from slicewise_worker.http.dialects.responses_request import (
    Format,
    Function,
    FunctionChoice,
    Item,
    Part,
    ResponseRequest,
    ToolFormat,
)

Json = dict[str, Any]
_RESULTS: Final = ("function_call_output", "custom_tool_call_output")


def to_chat(body: ResponseRequest) -> Json:
    """Return the chat request that asks the same, without the fields that are not given."""
    form = body.text.format if body.text else None
    instructions = [{"role": "system", "content": body.instructions}] if body.instructions else []
    chat: Json = {
        "model": body.model,
        "messages": [*instructions, *_messages(body.input)],
        "max_completion_tokens": body.max_output_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stream": body.stream,
        "stream_options": {"include_usage": True} if body.stream else None,
        "response_format": _response_format(form) if form else None,
        "tools": [_tool(tool) for tool in body.tools or () if tool is not None] or None,
        "tool_choice": _tool_choice(body.tool_choice),
        "parallel_tool_calls": body.parallel_tool_calls,
        "reasoning_effort": body.reasoning.effort if body.reasoning else None,
    }
    return {name: value for name, value in chat.items() if value is not None}


def _messages(items: Iterable[Item]) -> Iterator[Json]:
    """Yield the messages. What a model thought, said and called in one turn are items of their own here, and one message there."""
    answer: Json | None = None
    for item in items:
        if item.kind in _RESULTS or (item.kind == "message" and item.role != "assistant"):
            if answer is not None:
                yield answer
                answer = None
            yield _result(item) if item.kind in _RESULTS else _said(item)
            continue
        if answer is None or (item.kind == "message" and answer["content"]):
            if answer is not None:
                yield answer
            answer = {"role": "assistant", "content": ""}
        _add(answer, item)
    if answer is not None:
        yield answer


def _add(answer: Json, item: Item) -> None:
    """Add an item that a model wrote to its message."""
    if item.kind == "message":
        answer["content"] = _text(item.content)
    elif item.kind == "reasoning":
        if thought := _text(item.content or item.summary):
            answer["reasoning_content"] = answer.get("reasoning_content", "") + thought
    elif item.kind == "custom_tool_call":
        called = {"id": item.call_id, "type": "custom", "custom": {"name": item.name, "input": item.input}}
        answer.setdefault("tool_calls", []).append(called)
    else:
        call = {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
        answer.setdefault("tool_calls", []).append(call)


def _said(item: Item) -> Json:
    return {"role": item.role, "content": _text(item.content)}


def _result(item: Item) -> Json:
    return {"role": "tool", "tool_call_id": item.call_id, "content": _text(item.output)}


def _text(parts: Iterable[Part]) -> str:
    return "".join(part.text or part.refusal or "" for part in parts)


def _tool(tool: Function) -> Json:
    if tool.type == "custom":
        given = {"name": tool.name, "description": tool.description, "format": _custom_format(tool.format)}
        return {"type": "custom", "custom": {name: value for name, value in given.items() if value is not None}}
    function: Json = {"name": tool.name, "parameters": tool.parameters or {}}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _custom_format(form: ToolFormat | None) -> Json | None:
    if form is None or form.type == "text":
        return None
    return {"type": "grammar", "grammar": {"syntax": form.syntax, "definition": form.definition}}


def _tool_choice(choice: str | FunctionChoice | None) -> Any:
    return {"type": choice.type, choice.type: {"name": choice.name}} if isinstance(choice, FunctionChoice) else choice


def _response_format(form: Format) -> Json:
    if form.type != "json_schema":
        return {"type": form.type}
    given = {"name": form.name, "schema": form.definition, "strict": form.strict, "description": form.description}
    return {"type": "json_schema", "json_schema": {name: value for name, value in given.items() if value is not None}}
