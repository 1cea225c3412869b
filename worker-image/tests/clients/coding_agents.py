"""What two coding agents send, in shapes that were recorded and written again: Claude Code's messages, and Codex's responses."""

from __future__ import annotations

import json
from typing import Any

import httpx
from endpoint import KEY, MODEL, SAID, URL

CACHED = {"cache_control": {"type": "ephemeral"}}
DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMES = (
    "Task",
    "Bash",
    "Glob",
    "Grep",
    "Read",
    "Edit",
    "Write",
    "NotebookEdit",
    "WebFetch",
    "TodoWrite",
    "get_weather",
)


def parameters(**more: Any) -> dict[str, Any]:
    properties = {
        "path": {"type": "string", "description": "The absolute path"},
        "limit": {"type": "number", "exclusiveMinimum": 0},
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "properties": {"id": {"type": "string"}}},
        },
        "mode": {"type": "string", "enum": ["files", "content"], "default": "files"},
    }
    return {"type": "object", "properties": properties, "required": [], "additionalProperties": False, **more}


def events(path: str, headers: dict[str, str], body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data of a stream's events."""
    with httpx.stream("POST", f"{URL}{path}", headers=headers, json=body, timeout=120) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


def claude_code() -> None:
    headers = {
        "x-api-key": KEY,
        "authorization": f"Bearer {KEY}",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
        "anthropic-dangerous-direct-browser-access": "true",
        "x-app": "cli",
        "x-stainless-retry-count": "0",
        "user-agent": "claude-cli/2.1.0 (external, cli)",
    }
    tools = [{"name": name, "description": name, "input_schema": parameters(**{"$schema": DRAFT})} for name in NAMES]
    reminder = "<system-reminder>\nToday is Friday.\n</system-reminder>"
    said = [{"type": "text", "text": reminder}, {"type": "text", "text": "Weather?", **CACHED}]
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": said}],
        "system": [
            {"type": "text", "text": "You are an agent for the command line.", **CACHED},
            {"type": "text", "text": "# Tone\nBe brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "tools": tools,
        "metadata": {"user_id": "user_0_account__session_1"},
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "temperature": 1,
        "stream": True,
    }
    seen = events("/v1/messages?beta=true", headers, body)
    starts = [event["content_block"] for event in seen if event["type"] == "content_block_start"]
    assert [block["type"] for block in starts] == ["text", "tool_use"], starts
    assert seen[-2]["delta"]["stop_reason"] == "tool_use"
    called = {"type": "tool_use", "id": starts[1]["id"], "name": "get_weather", "input": {"city": "Paris"}}
    result = {
        "type": "tool_result",
        "tool_use_id": called["id"],
        "content": [{"type": "text", "text": "9 C"}],
        **CACHED,
    }
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    body["messages"] += [
        {"role": "assistant", "content": [thought, {"type": "text", "text": SAID}, called]},
        {"role": "user", "content": [result, {"type": "text", "text": reminder}]},
    ]
    assert events("/v1/messages?beta=true", headers, body)[-1]["type"] == "message_stop"
    counted = {name: body[name] for name in ("model", "messages", "system", "tools", "thinking")}
    counts = httpx.post(f"{URL}/v1/messages/count_tokens?beta=true", headers=headers, json=counted, timeout=120)
    assert counts.json()["input_tokens"] > 0
    small = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}
    whole = httpx.post(f"{URL}/v1/messages?beta=true", headers=headers, json=small, timeout=120)
    assert whole.json()["stop_reason"] == "max_tokens", whole.text


def codex() -> None:
    headers = {
        "authorization": f"Bearer {KEY}",
        "accept": "text/event-stream",
        "originator": "codex_cli_rs",
        "session_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        "conversation_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        "user-agent": "codex_cli_rs/0.60.0",
    }
    functions = [
        {"type": "function", "name": name, "description": name, "strict": False, "parameters": parameters()}
        for name in ("shell", "update_plan", "view_image", "get_weather")
    ]
    body: dict[str, Any] = {
        "model": MODEL,
        "instructions": "You are a coding agent.",
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "Sandbox: read-only."}],
            },
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        ],
        "tools": [*functions, {"type": "web_search", "external_web_access": False}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": headers["conversation_id"],
    }
    seen = events("/v1/responses", headers, body)
    assert seen[-1]["type"] == "response.completed"
    done = [event["item"] for event in seen if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["message", "function_call"], done
    output = {"type": "function_call_output", "call_id": done[1]["call_id"], "output": '{"output": "9 C"}'}
    body["input"] += [{"type": "reasoning", "summary": [], "encrypted_content": None}, *done, output]
    assert events("/v1/responses", headers, body)[-1]["type"] == "response.completed"
    whole = httpx.post(f"{URL}/v1/responses", headers=headers, json=body | {"stream": False}, timeout=120)
    assert whole.json()["status"] == "completed", whole.text


claude_code()
codex()
