"""Tools in the dialects of Anthropic and of the Responses API, with their SDKs, a worker, and a model that calls two of them."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from slicewise_worker.http.dialects.messages_chat import to_chat
from slicewise_worker.http.dialects.messages_request import CountRequest

DAYS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CALLED = [("get_weather", {"city": "Bergen", "days": 3}), ("get_time", {})]
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


@pytest.fixture(scope="module")
def worker(shared_worker: Any, coder: Any) -> Any:
    return shared_worker(coder, context_tokens=2048, parallel_sequences=2)


def test_anthropic_whole_streamed_and_with_results_given_back(worker: Any) -> None:
    tools: list[Any] = [
        {"name": "get_weather", "description": "Now.", "input_schema": DAYS},
        {"name": "get_time", "input_schema": NOTHING},
    ]
    ask: dict[str, Any] = {"model": "chat", "max_tokens": 400, "temperature": 0, "tools": tools}
    question: list[Any] = [{"role": "user", "content": "Weather?"}]
    with anthropic.Anthropic(base_url=worker.url, api_key="unused", max_retries=0) as client:
        answer = client.messages.create(messages=question, **ask)
        assert answer.stop_reason == "tool_use"
        text, *calls = answer.content
        assert text.to_dict() == {"type": "text", "text": "Let me see."}
        assert [(call.name, call.input) for call in calls] == CALLED
        with client.messages.stream(messages=question, **ask) as stream:
            final = stream.get_final_message()
        assert final.stop_reason == "tool_use"
        assert [(block.name, block.input) for block in final.content if block.type == "tool_use"] == CALLED

        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "9 C"} for call in calls]
        more = [*question, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        again = client.messages.create(messages=more, **ask)
        assert again.stop_reason == "tool_use"
        first, goes_on = answer.usage, again.usage
        assert goes_on.cache_read_input_tokens
        assert goes_on.cache_read_input_tokens + goes_on.input_tokens > first.input_tokens + (
            first.cache_read_input_tokens or 0
        )
        one = client.messages.create(
            messages=question, **ask, tool_choice={"type": "auto", "disable_parallel_tool_use": True}
        )
        assert [block.name for block in one.content if block.type == "tool_use"] == ["get_weather"]
        named = client.messages.create(messages=question, **ask, tool_choice={"type": "tool", "name": "get_time"})
        assert [(block.name, block.input) for block in named.content] == CALLED[1:]


def test_responses_whole_streamed_and_with_results_given_back(worker: Any) -> None:
    tools: list[Any] = [
        {"type": "function", "name": "get_weather", "parameters": DAYS, "strict": False},
        {"type": "function", "name": "get_time", "parameters": NOTHING, "strict": False},
    ]
    ask: dict[str, Any] = {"model": "chat", "max_output_tokens": 400, "temperature": 0, "tools": tools}
    question: list[Any] = [{"role": "user", "content": "Weather?"}]
    called = [("get_weather", '{"city": "Bergen", "days": 3}'), ("get_time", "{}")]
    with openai.OpenAI(base_url=f"{worker.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.responses.create(input=question, **ask)
        assert (answer.status, answer.output_text) == ("completed", "Let me see.")
        calls = [item for item in answer.output if item.type == "function_call"]
        assert [(call.name, call.arguments) for call in calls] == called
        with client.responses.stream(input=question, **ask) as stream:
            events = list(stream)
        final = events[-1].response  # type: ignore[union-attr] # the last has one
        assert [(item.name, item.arguments) for item in final.output if item.type == "function_call"] == called
        told = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        assert "".join(told) == "".join(arguments for _, arguments in called)

        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "9 C"} for call in calls]
        again = client.responses.create(input=[*question, *answer.output, *results], **ask)
        assert [item.name for item in again.output if item.type == "function_call"] == [name for name, _ in called]
        assert again.usage
        assert answer.usage
        assert again.usage.input_tokens > answer.usage.input_tokens
        one = client.responses.create(input=question, **ask, parallel_tool_calls=False)
        assert [item.name for item in one.output if item.type == "function_call"] == ["get_weather"]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "none"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled"}}, {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}}),
    ],
)
def test_what_anthropics_clients_say_of_thoughts_reaches_the_template(
    fields: dict[str, Any], asked: dict[str, Any]
) -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], **fields}
    chat = to_chat(CountRequest.model_validate(body))
    assert {name: value for name, value in chat.items() if name not in body} == asked
