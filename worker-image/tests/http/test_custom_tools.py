"""Custom tools, whose input is a text, with the SDK: over chats and over the Responses API, whole and streamed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import openai
import pytest

LETTERS = "[ab\\n]{2,4}"
GRAMMAR = {"syntax": "regex", "definition": LETTERS}
CHAT: Any = {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}}}
TOOL: Any = {"type": "custom", "name": "patch", "description": "Writes.", "format": {"type": "grammar", **GRAMMAR}}
FREE: Any = {"type": "custom", "name": "get_weather", "format": {"type": "text"}}


@pytest.fixture(scope="module")
def client(serve: Callable[[Any], openai.OpenAI], thinker: Any) -> openai.OpenAI:
    return serve(thinker)


def test_a_chat_calls_a_custom_tool_and_takes_its_result(client: openai.OpenAI) -> None:
    question: Any = {"role": "user", "content": "Patch."}
    ask: dict[str, Any] = {"model": "chat", "tools": [CHAT], "temperature": 1, "seed": 4, "parallel_tool_calls": False}
    asked = {**ask, "messages": [question], "tool_choice": {"type": "custom", "custom": {"name": "patch"}}}
    choice = client.chat.completions.create(**asked).choices[0]
    (call,) = choice.message.tool_calls or ()
    assert (choice.finish_reason, call.type, call.custom.name) == ("tool_calls", "custom", "patch")
    assert re.fullmatch(LETTERS, call.custom.input)
    deltas = [chunk.choices[0].delta.to_dict() for chunk in client.chat.completions.create(**asked, stream=True)]
    first, *more = [delta["tool_calls"][0] for delta in deltas if delta.get("tool_calls")]
    assert (first["type"], first["custom"]) == ("custom", {"name": "patch", "input": ""})
    assert "".join(part["custom"]["input"] for part in more) == call.custom.input
    result = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    history = [question, choice.message.to_dict(), result]
    sizes = [
        client.chat.completions.create(**ask, messages=each, max_tokens=1).usage.prompt_tokens
        for each in ([question], history)
    ]
    assert sizes[0] < sizes[1]


def test_a_response_has_items_and_events_of_custom_tools(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": "chat", "tools": [TOOL], "temperature": 1, "parallel_tool_calls": False}
    asked = {**ask, "input": "Patch.", "tool_choice": {"type": "custom", "name": "patch"}}
    answer = client.responses.create(**asked)
    (item,) = answer.output
    assert (item.type, item.name) == ("custom_tool_call", "patch")
    assert re.fullmatch(LETTERS, item.input)
    events = list(client.responses.create(**asked, stream=True))
    (done,) = [event for event in events if event.type == "response.custom_tool_call_input.done"]
    deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == done.input
    assert re.fullmatch(LETTERS, done.input)
    final = events[-1].response
    assert [each.to_dict()["input"] for each in final.output] == [done.input]
    result = {"type": "custom_tool_call_output", "call_id": item.call_id, "output": "done"}
    again = client.responses.create(**ask, input=[{"role": "user", "content": "Patch."}, item.to_dict(), result])
    assert again.status == "completed"


def test_an_input_keeps_to_a_grammar_in_lark(client: openai.OpenAI) -> None:
    definition = 'start: "*** Begin" LF line~1..2 "*** End"\nline: ("+" | "-") /[xy]{0,5}/ LF\n%import common.LF'
    grammar: Any = {"type": "grammar", "syntax": "lark", "definition": definition}
    ask: dict[str, Any] = {
        "model": "chat",
        "tools": [{"type": "custom", "name": "patch", "format": grammar}],
        "input": "Patch.",
    }
    for seed in range(2):
        answer = client.responses.create(
            **ask, tool_choice={"type": "custom", "name": "patch"}, temperature=1, top_p=1 - seed / 9
        )
        (item,) = answer.output
        assert re.fullmatch(r"\*\*\* Begin\n([+-][xy]{0,5}\n){1,2}\*\*\* End", item.input)


def test_arguments_that_a_model_makes_up_are_the_input_as_they_stand(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": "chat", "input": "Weather?", "tools": [FREE], "temperature": 0}
    (item,) = [item for item in client.responses.create(**ask).output if item.type == "custom_tool_call"]
    assert item.input == '{"city": "Oslo"}'
    deltas = [event.delta for event in client.responses.create(**ask, stream=True) if "input.delta" in event.type]
    assert "".join(deltas) == item.input


def test_what_cannot_be_done_is_refused_by_name(client: openai.OpenAI) -> None:
    endless = {"type": "grammar", "syntax": "lark", "definition": 'start: "(" start? ")"'}
    lark = {"type": "custom", "name": "a", "format": endless}
    for tool, words in (
        (lark, "the rule 'start' refers to itself"),
        ({"type": "local_shell"}, "offer the shell as a function"),
        ({"type": "custom", "name": "a", "strict": True}, "has no 'strict'"),
    ):
        with pytest.raises(openai.BadRequestError, match=words):
            client.responses.create(model="chat", input="Hi", tools=[tool])  # type: ignore[list-item]  # what the SDK's types forbid
