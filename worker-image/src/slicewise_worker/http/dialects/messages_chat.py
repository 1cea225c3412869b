"""From Anthropic's conversation to the chat request's. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from slicewise_worker.chat.effort import THINKS
from slicewise_worker.http.dialects.messages_request import (
    AnthropicMessage,
    Block,
    CountRequest,
    Format,
    MessagesRequest,
    Tool,
    ToolChoice,
)

Json = dict[str, Any]


def to_chat(body: MessagesRequest | CountRequest) -> Json:
    """Return the chat request that asks the same, without the fields that are not given."""
    form = body.output_format or (body.output_config.format if body.output_config else None)
    chat: Json = {
        "model": body.model,
        "messages": [*_system(body), *_turns(body.messages)],
        "tools": [_tool(tool) for tool in body.tools] if body.tools else None,
        "response_format": _response_format(form) if form else None,
        **(_tool_choice(body.tool_choice) if body.tool_choice else {}),
        **_thinking(body),
        **(_answer(body) if isinstance(body, MessagesRequest) else {}),
    }
    return {name: value for name, value in chat.items() if value is not None}


def _answer(body: MessagesRequest) -> Json:
    return {
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "stop": list(body.stop_sequences) or None,
        "stream": body.stream,
        "stream_options": {"include_usage": True} if body.stream else None,
    }


def _thinking(body: MessagesRequest | CountRequest) -> Json:
    """Return how much the model is to think; what is not said is left to the template."""
    effort = body.output_config.effort if body.output_config else None
    if body.thinking is None:
        return {"reasoning_effort": effort}
    if body.thinking.type == "disabled":
        return {"reasoning_effort": "none"}
    # An effort says so itself.
    return {"reasoning_effort": effort} if effort else {"chat_template_kwargs": dict.fromkeys(THINKS, True)}


def _system(body: MessagesRequest | CountRequest) -> list[Json]:
    return [{"role": "system", "content": _text(body.system)}] if body.system else []


def _turns(messages: Iterable[AnthropicMessage]) -> Iterator[Json]:
    """Yield the messages of each turn; successive ones of the same role are one turn, as Anthropic has it."""
    for role, group in groupby(messages, lambda message: message.role):
        blocks = [block for message in group for block in message.content]
        yield from _user(blocks) if role == "user" else [_assistant(blocks)]


def _user(blocks: list[Block]) -> Iterator[Json]:
    """Yield the results of tools, and then what the user says: a chat has a message for each."""
    for block in blocks:
        if block.type == "tool_result":
            text = _text(block.content)
            result = f"Error: {text}" if block.is_error else text
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": result}
    if said := [block for block in blocks if block.type == "text"]:
        yield {"role": "user", "content": _text(said)}


def _assistant(blocks: list[Block]) -> Json:
    message: Json = {"role": "assistant", "content": _text(block for block in blocks if block.type == "text")}
    if thought := "\n".join(block.thinking or "" for block in blocks if block.type == "thinking"):
        message["reasoning_content"] = thought
    calls = [
        {
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)},
        }
        for block in blocks
        if block.type == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    return message


def _text(blocks: Iterable[Block]) -> str:
    return "\n".join(block.text or "" for block in blocks)


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> Json:
    named = {"type": "function", "function": {"name": choice.name}}
    found = {"auto": "auto", "none": "none", "any": "required"}.get(choice.type, named)
    return {"tool_choice": found, **({"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {})}


def _response_format(form: Format) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form.definition, "strict": True}}
