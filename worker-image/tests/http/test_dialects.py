"""The translations of other dialects to chats and back: what becomes of each part, and that no body breaks them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st
from pydantic import BaseModel

from slicewise_worker.http.completions import parse
from slicewise_worker.http.dialects import messages_answer, messages_chat, responses_answer, responses_chat
from slicewise_worker.http.dialects.messages_answer import MessageEvents
from slicewise_worker.http.dialects.messages_request import CountRequest, MessagesRequest
from slicewise_worker.http.dialects.responses_answer import Echo, ResponseEvents
from slicewise_worker.http.dialects.responses_request import ResponseRequest
from slicewise_worker.http.errors import ApiError

TOOL = {"name": "add", "description": "Adds.", "input_schema": {"type": "object"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 3}}
MESSAGES: dict[str, Any] = {"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE: dict[str, Any] = {"model": "chat", "input": "Hi"}


def messages(**fields: Any) -> dict[str, Any]:
    return messages_chat.to_chat(parse(json.dumps(MESSAGES | fields).encode(), MessagesRequest))


def response(**fields: Any) -> dict[str, Any]:
    return responses_chat.to_chat(parse(json.dumps(RESPONSE | fields).encode(), ResponseRequest))


def test_a_conversation_of_anthropic_with_tools() -> None:
    chat = messages(
        system=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "add", "disable_parallel_tool_use": True},
        stop_sequences=["."],
        messages=[
            {"role": "user", "content": "Add."},
            {"role": "user", "content": "Now."},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "I add."},
                    {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "2"}]},
                    {"type": "tool_result", "tool_use_id": "call_2", "is_error": True, "content": "no"},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
    )
    assert chat == {
        "model": "chat",
        "max_tokens": 9,
        "stop": ["."],
        "tools": [
            {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "parallel_tool_calls": False,
        "messages": [
            {"role": "system", "content": "One.\nTwo."},
            {"role": "user", "content": "Add.\nNow."},
            {"role": "assistant", "content": "I add.", "reasoning_content": "Hm.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "2"},
            {"role": "tool", "tool_call_id": "call_2", "content": "Error: no"},
            {"role": "user", "content": "And?"},
        ],
    }


def test_items_of_one_turn_become_one_message() -> None:
    chat = response(
        instructions="Briefly.",
        tools=[{"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True}],
        tool_choice={"type": "function", "name": "add"},
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "Add."}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I add."}]},
            {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "2"},
            {"role": "assistant", "content": "2."},
            {"role": "assistant", "content": "Done."},
        ],
    )
    assert chat == {
        "model": "chat",
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "messages": [
            {"role": "system", "content": "Briefly."},
            {"role": "user", "content": "Add."},
            {"role": "assistant", "content": "I add.", "reasoning_content": "Hm.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "2"},
            {"role": "assistant", "content": "2."},
            {"role": "assistant", "content": "Done."},
        ],
    }


WHOLE = {
    "id": "chatcmpl-1",
    "created": 1,
    "model": "chat",
    "usage": USAGE,
    "choices": [
        {
            "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": "I add.", "reasoning_content": "Hm.", "tool_calls": [CALL]},
        }
    ],
}


def test_a_whole_answer_in_both_dialects() -> None:
    said = messages_answer.whole(WHOLE, thinking=True)
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use"]
    assert said["content"][-1] == {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}}
    assert (said["id"], said["stop_reason"], said["usage"]["output_tokens"]) == ("msg_1", "tool_use", 5)
    assert [block["type"] for block in messages_answer.whole(WHOLE, thinking=False)["content"]] == ["text", "tool_use"]
    found = responses_answer.whole(WHOLE, Echo.of(parse(json.dumps(RESPONSE).encode(), ResponseRequest)))
    assert [item["type"] for item in found["output"]] == ["reasoning", "message", "function_call"]
    assert found["output"][-1]["arguments"] == '{"a": 1}'
    assert (found["status"], found["store"], found["usage"]["total_tokens"]) == ("completed", False, 12)


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "chatcmpl-1", "created": 1, "model": "chat", "choices": choices, **more}


def call(index: int, **function: str) -> dict[str, Any]:
    named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **named, "function": function}]}


STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "H"}),
    chunk({"reasoning_content": "m."}),
    chunk({"content": "I add."}),
    chunk(call(0, name="add", arguments="")),
    chunk(call(0, arguments='{"a":')),
    chunk(call(0, arguments="1}")),
    chunk(call(1, name="add", arguments="{}")),
    chunk({}, "tool_calls"),
    {"id": "chatcmpl-1", "created": 1, "model": "chat", "choices": [], "usage": USAGE},
]


def test_a_stream_in_anthropics_events() -> None:
    state = MessageEvents(7, lambda: 3, thinking=True)
    events = [event for each in STREAM for event in state.chunk(each)]
    assert all(name == data["type"] for name, data in events)
    assert events[0][1]["message"]["usage"]["input_tokens"] == 4
    blocks = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
    assert blocks == ["thinking", "text", "tool_use", "tool_use"]
    starts = [data["index"] for name, data in events if name == "content_block_start"]
    ends = [data["index"] for name, data in events if name == "content_block_stop"]
    assert starts == ends == [0, 1, 2, 3]
    given = [data["delta"].get("partial_json", "") for name, data in events if name == "content_block_delta"]
    assert "".join(given) == '{"a":1}{}'
    assert events[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2][1]["usage"]["output_tokens"] == 5
    assert events[-1][0] == "message_stop"


def test_a_stream_in_events_of_a_response() -> None:
    state = ResponseEvents(Echo.of(parse(json.dumps(RESPONSE).encode(), ResponseRequest)))
    events = [event for each in STREAM for event in state.chunk(each)]
    assert [data["sequence_number"] for _, data in events] == [*range(len(events))]
    final = events[-1][1]["response"]
    assert (events[-1][0], final["status"]) == ("response.completed", "completed")
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert [item["arguments"] for item in final["output"][2:]] == ['{"a":1}', "{}"]
    assert final["output"] == [data["item"] for name, data in events if name == "response.output_item.done"]


def test_a_stream_that_breaks_fails() -> None:
    state = ResponseEvents(Echo.of(parse(json.dumps(RESPONSE).encode(), ResponseRequest)))
    for each in STREAM[:4]:
        list(state.chunk(each))
    *_, (name, data) = state.failed({"message": "It broke."})
    assert (name, data["response"]["status"], data["response"]["error"]["message"]) == (
        "response.failed",
        "failed",
        "It broke.",
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": [{"role": "assistant", "content": "a"}]}, "the last message must be a user's"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]},
            "role",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_use_id"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, "tools[0]"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"temperature": 1.5}, "temperature"),
        ({"max_tokens": None}, "max_tokens"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"system": [{"type": "tool_result", "tool_use_id": "a"}]}, "system"),
    ],
)
def test_what_anthropics_clients_may_not_ask_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError) as refused:
        messages(**fields)
    assert refused.value.status == 400
    assert said in refused.value.message


SCALARS = st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=4)
WORDS = ["type", "text", "role", "user", "assistant", "content", "tool_use", "tool_result", "thinking", "message"]
WORDS += [
    "function_call",
    "reasoning",
    "name",
    "input",
    "call_id",
    "output",
    "function",
    "function_call_output",
    "schema",
]
KEYS = st.sampled_from(WORDS) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def any_body(model: type[BaseModel], valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(sorted(model.model_fields)) | st.text(max_size=4)
    return st.dictionaries(names, VALUES, max_size=4).map(lambda change: valid | change)


@pytest.mark.parametrize(
    ("model", "valid", "translate"),
    [
        (MessagesRequest, MESSAGES, messages_chat.to_chat),
        (CountRequest, {"model": "chat", "messages": MESSAGES["messages"]}, messages_chat.to_chat),
        (ResponseRequest, RESPONSE, responses_chat.to_chat),
    ],
)
@fuzzed(60, st.data())
def test_any_body_is_translated_or_refused_in_words(
    model: type[BaseModel], valid: dict[str, Any], translate: Any, data: st.DataObject
) -> None:
    body = data.draw(any_body(model, valid))
    error: ApiError | None = None
    try:
        json.dumps(translate(parse(json.dumps(body).encode(), model)))
    except ApiError as refused:
        error = refused
    assert error is None or (error.status == 400 and 0 < len(error.message) < 1000)


TEXTS = st.text(max_size=5)
DELTAS = st.one_of(
    st.fixed_dictionaries({"content": TEXTS}),
    st.fixed_dictionaries({"reasoning_content": TEXTS}),
    st.builds(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, TEXTS),
    st.builds(lambda index: call(index, name="add", arguments=""), st.integers(0, 3)),
)


@fuzzed(60, st.lists(DELTAS, max_size=8), st.sampled_from(["stop", "length", "tool_calls"]), st.booleans())
def test_any_stream_opens_and_closes_what_it_writes(deltas: list[dict[str, Any]], reason: str, thinking: bool) -> None:
    stream = [chunk({"role": "assistant"}), *map(chunk, deltas), chunk({}, reason), {**STREAM[-1]}]
    state = MessageEvents(7, lambda: 3, thinking=thinking)
    events = [event for each in stream for event in state.chunk(each)]
    opened = [data["index"] for name, data in events if name == "content_block_start"]
    assert opened == [data["index"] for name, data in events if name == "content_block_stop"] == [*range(len(opened))]
    assert all(data["index"] in opened for name, data in events if name == "content_block_delta")
    other = ResponseEvents(Echo.of(parse(json.dumps(RESPONSE).encode(), ResponseRequest)))
    found = [event for each in stream for event in other.chunk(each)]
    assert found[-1][1]["response"]["output"] == [data["item"] for name, data in found if name.endswith("item.done")]
