"""Tools over HTTP with the openai SDK: calls that a model writes by itself, and calls that it has to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "unit": {"$ref": "#/$defs/Unit"}},
    "required": ["city", "unit"],
    "additionalProperties": False,
    "$defs": {"Unit": {"enum": ["C", "F"]}},
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Now.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "strict": True}},
]
ASK: list[Any] = [{"role": "user", "content": "Weather?"}]
PARIS = '{"city": "Paris"}'


class Weather(BaseModel):
    """What `WEATHER` says."""

    model_config = ConfigDict(extra="forbid")
    city: str = Field(max_length=8)
    unit: Literal["C", "F"]


Client = Callable[[Any], openai.OpenAI]


@pytest.fixture(scope="module")
def serve(shared_worker: Any) -> Iterator[Client]:
    with ExitStack() as opened:

        def serve(model: Any) -> openai.OpenAI:
            worker = shared_worker(model, context_tokens=2048, parallel_sequences=2)
            return opened.enter_context(openai.OpenAI(base_url=f"{worker.url}/v1", api_key="-", max_retries=0))

        yield serve


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "chat", "messages": ASK, "temperature": 0, **fields})


def streamed(client: openai.OpenAI, **fields: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return the message that the chunks of a stream make, with its finish reason, and the chunks' deltas."""
    made: dict[str, Any] = {"content": "", "reasoning_content": "", "calls": {}}
    chunks = [chunk.choices[0] for chunk in ask(client, stream=True, **fields)]
    for chunk in chunks:
        delta = chunk.delta.to_dict()
        for name in ("content", "reasoning_content"):
            made[name] += delta.get(name) or ""
        for part in delta.get("tool_calls") or ():
            call = made["calls"].setdefault(part["index"], {"arguments": ""})
            call |= {key: part[key] for key in ("id", "type") if key in part}
            call |= {"name": part["function"]["name"]} if "name" in part["function"] else {}
            call["arguments"] += part["function"]["arguments"]
    made["reason"] = chunks[-1].finish_reason
    return made, [chunk.delta for chunk in chunks]


def test_a_model_without_a_form_of_its_own_is_told_one_and_its_calls_are_found(serve: Client, caller: Any) -> None:
    client = serve(caller)
    choice = ask(client, tools=TOOLS).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name, call.function.arguments) == ("function", "get_weather", PARIS)
    made, deltas = streamed(client, tools=TOOLS)
    assert (made["content"], made["reason"]) == ("Let me look.", "tool_calls")
    assert made["calls"][0]["name"] == "get_weather"
    assert made["calls"][0]["arguments"] == PARIS
    assert made["calls"][0]["id"].startswith("call_")
    parts = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    assert parts[0].function.arguments == ""
    assert len(parts) > 1
    # The SDK's own joining of the parts.
    with client.chat.completions.stream(model="chat", messages=ASK, tools=TOOLS, temperature=0) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.message.tool_calls
    assert final.message.tool_calls[0].function.arguments == PARIS

    # The tools change the prompt, and so do a call and its result.
    history = [*ASK, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "9 C"}]
    sizes = [
        ask(client, max_tokens=1, **fields).usage.prompt_tokens
        for fields in ({}, {"tools": TOOLS, "tool_choice": "none"}, {"tools": TOOLS}, {"messages": history})
    ]
    assert sizes[0] == sizes[1] < min(sizes[2:])

    # Without tools, or with none of that name, the text is what it is.
    for fields in ({}, {"tools": TOOLS, "tool_choice": "none"}, {"tools": TOOLS[1:]}):
        plain = ask(client, **fields).choices[0]
        assert (plain.finish_reason, plain.message.tool_calls) == ("stop", None)
        assert '"name": "get_weather"' in plain.message.content


def test_a_call_that_breaks_off_is_text_in_a_whole_answer_and_what_has_come_in_a_stream(
    serve: Client, caller: Any
) -> None:
    client = serve(caller)
    whole = ask(client, tools=TOOLS, max_tokens=6).choices[0]
    assert (whole.finish_reason, whole.message.tool_calls) == ("length", None)
    assert whole.message.content.endswith('"arguments": {"city": "Par')
    made, _ = streamed(client, tools=TOOLS, max_tokens=6)
    assert (made["reason"], made["calls"][0]["arguments"]) == ("length", '{"city": "Par')


def test_thoughts_and_calls_of_a_family_whose_marks_are_control_tokens(serve: Client, thinker: Any) -> None:
    client = serve(thinker)
    choice = ask(client, tools=TOOLS).choices[0]
    assert choice.message.to_dict()["reasoning_content"] == "The weather, then."
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "One moment.")
    called = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert called == [("get_weather", '{"city": "Oslo"}'), ("get_time", "{}")]
    assert len({call.id for call in choice.message.tool_calls}) == 2
    made, _ = streamed(client, tools=TOOLS)
    assert (made["content"], made["reasoning_content"]) == ("One moment.", "The weather, then.")
    assert [(call["name"], call["arguments"]) for _, call in sorted(made["calls"].items())] == called

    one = ask(client, tools=TOOLS, parallel_tool_calls=False).choices[0]
    assert [call.function.name for call in one.message.tool_calls] == ["get_weather"]
    made, _ = streamed(client, tools=TOOLS, parallel_tool_calls=False)
    assert (list(made["calls"]), made["reason"]) == ([0], "tool_calls")

    # Thoughts are kept apart without tools too, unless they are asked to stay or are switched off.
    plain = ask(client, stop=["\n<tool_c"]).choices[0].message
    assert plain.to_dict()["reasoning_content"] == "The weather, then."
    assert plain.content.startswith("One moment.")
    inside = ask(client, extra_body={"reasoning_format": "none"}).choices[0].message
    assert "reasoning_content" not in inside.to_dict()
    assert inside.content.startswith("<think>\nThe weather, then.\n</think>")
    off = ask(client, extra_body={"chat_template_kwargs": {"enable_thinking": False}}).choices[0].message
    assert "reasoning_content" not in off.to_dict()
    assert off.content.strip().startswith("One moment.")


@pytest.mark.parametrize("model", ["wordy", "thinker"])
def test_any_model_calls_what_it_has_to_call(serve: Client, request: pytest.FixtureRequest, model: str) -> None:
    client = serve(request.getfixturevalue(model))
    named = {"type": "function", "function": {"name": "get_weather"}}
    for seed in range(3):
        choice = ask(client, tools=TOOLS, tool_choice=named, temperature=1, seed=seed).choices[0]
        (call,) = choice.message.tool_calls
        assert (choice.finish_reason, choice.message.content, call.function.name) == ("tool_calls", None, "get_weather")
        Weather.model_validate_json(call.function.arguments)
    choice = ask(client, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, temperature=1, seed=1).choices[
        0
    ]
    assert len(choice.message.tool_calls) == 1
    made, _ = streamed(client, tools=TOOLS[1:], tool_choice="required", temperature=1, seed=1)
    assert 1 <= len(made["calls"]) <= 16
    assert {(call["name"], "".join(call["arguments"].split())) for call in made["calls"].values()} == {
        ("get_time", "{}")
    }
