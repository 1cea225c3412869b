"""Tools over HTTP with the openai SDK: calls that a model writes by itself, and calls that it has to write."""

from __future__ import annotations

from collections.abc import Callable
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
    {"type": "function", "function": {"name": "get_time"}},
]
ASK: list[Any] = [{"role": "user", "content": "Weather?"}]
PARIS = '{"city": "Paris"}'


class Weather(BaseModel):
    """What `WEATHER` says."""

    model_config = ConfigDict(extra="forbid")
    city: str = Field(max_length=8)
    unit: Literal["C", "F"]


Client = Callable[[Any], openai.OpenAI]


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
    assert client.models.retrieve("chat").to_dict()["capabilities"] == ["chat", "completions"]
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
    assert client.models.retrieve("chat").to_dict()["capabilities"] == ["chat", "completions", "tools"]
    choice = ask(client, tools=TOOLS).choices[0]
    assert choice.message.to_dict()["reasoning_content"] == "The weather, then."
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "One moment.")
    called = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert called == [("get_weather", '{"city": "Oslo"}'), ("get_time", "{}")]
    assert len({call.id for call in choice.message.tool_calls}) == 2
    made, _ = streamed(client, tools=TOOLS)
    assert (made["content"], made["reasoning_content"]) == ("One moment.", "The weather, then.")
    assert [(call["name"], call["arguments"]) for _, call in sorted(made["calls"].items())] == called

    # The answer ends with its first call: nothing is generated after it.
    usage = ask(client, tools=TOOLS).usage
    first = ask(client, tools=TOOLS, parallel_tool_calls=False)
    one = first.choices[0]
    assert [call.function.name for call in one.message.tool_calls] == ["get_weather"]
    assert (one.finish_reason, first.usage.completion_tokens) == ("tool_calls", usage.completion_tokens - 4)
    made, _ = streamed(client, tools=TOOLS, parallel_tool_calls=False)
    assert (list(made["calls"]), made["reason"]) == ([0], "tool_calls")

    # Thoughts are kept apart without tools too, unless they are asked to stay or are switched off.
    plain = ask(client, stop=["\n<tool_c"]).choices[0].message
    assert plain.to_dict()["reasoning_content"] == "The weather, then."
    assert plain.content.startswith("One moment.")
    inside = ask(client, extra_body={"reasoning_format": "none"}).choices[0].message
    assert "reasoning_content" not in inside.to_dict()
    assert inside.content.startswith("<think>\nThe weather, then.\n</think>")
    for fields in ({"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}, {"reasoning_effort": "none"}):
        off = ask(client, **fields).choices[0].message
        assert "reasoning_content" not in off.to_dict()
        assert off.content.strip().startswith("One moment.")
    answered = client.responses.create(model="chat", input="Weather?", reasoning={"effort": "none"}, temperature=0)
    assert [item.type for item in answered.output] == ["message"]
    assert answered.reasoning
    assert answered.reasoning.effort == "none"


DAYS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
FORECAST: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": DAYS}}, TOOLS[1]]


def test_arguments_in_tags_become_json_of_the_kinds_that_the_schema_says(serve: Client, coder: Any) -> None:
    client = serve(coder)
    called = [("get_weather", '{"city": "Bergen", "days": 3}'), ("get_time", "{}")]
    choice = ask(client, tools=FORECAST).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see.")
    assert [(call.function.name, call.function.arguments) for call in choice.message.tool_calls] == called
    made, _ = streamed(client, tools=FORECAST)
    assert [(call["name"], call["arguments"]) for _, call in sorted(made["calls"].items())] == called
    results = [{"role": "tool", "tool_call_id": call.id, "content": "9"} for call in choice.message.tool_calls]
    history = [*ASK, choice.message, *results]
    assert ask(client, tools=FORECAST, messages=history).choices[0].message.tool_calls
    for tokens in range(3, 11):
        whole = ask(client, tools=FORECAST, max_tokens=tokens).choices[0]
        made, _ = streamed(client, tools=FORECAST, max_tokens=tokens)
        assert (whole.finish_reason, made["reason"]) == ("length", "length")
        text = "".join(call["arguments"] for call in made["calls"].values())
        assert called[0][1].startswith(text)
        assert bool(whole.message.tool_calls) == (text == called[0][1]) == (tokens >= 10)


def test_channels_are_thoughts_and_calls(serve: Client, channeler: Any) -> None:
    client = serve(channeler)
    choice = ask(client, tools=TOOLS).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.to_dict()["reasoning_content"] == "The weather, then."
    (call,) = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')
    made, _ = streamed(client, tools=TOOLS)
    assert (made["content"], made["reasoning_content"], made["reason"]) == ("", "The weather, then.", "tool_calls")
    assert made["calls"][0]["arguments"] == '{"city": "Oslo"}'
    history = [*ASK, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "9 C"}]
    assert ask(client, tools=TOOLS, messages=history).choices[0].message.tool_calls
    # Without tools too, thoughts are kept apart; what goes to a function that nobody gave is text.
    plain = ask(client).choices[0].message
    assert plain.to_dict()["reasoning_content"] == "The weather, then."
    assert "to=functions.get_weather" in plain.content
    made, _ = streamed(client, tools=TOOLS, max_tokens=11)
    assert (made["reason"], made["calls"][0]["arguments"]) == ("length", '{"city": "Os')


def test_strict_arguments_keep_to_the_schema_though_no_call_is_required(serve: Client, request: Any) -> None:
    for model, before in (("caller", "Let me look."), ("thinker", "One moment."), ("coder", "Let me see.")):
        client = serve(request.getfixturevalue(model))
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}}
        for parallel in (True, False):
            choice = ask(client, tools=[tool], parallel_tool_calls=parallel, max_tokens=600).choices[0]
            assert choice.message.content.startswith(before)
            Weather.model_validate_json(choice.message.tool_calls[0].function.arguments)
            if not parallel:
                assert (choice.finish_reason, len(choice.message.tool_calls)) == ("tool_calls", 1)
    # Text that begins no call is free.
    client = serve(request.getfixturevalue("wordy"))
    strict = [{"type": "function", "function": {"name": "get_time", "strict": True}}]
    free = ask(client, tools=strict).choices[0]
    assert free.message.content.startswith("Wordy one:")


def test_what_tags_cannot_keep_is_refused_by_name(serve: Client, coder: Any) -> None:
    client = serve(coder)
    for schema, word in (
        ({"properties": {"a": {"type": "string", "pattern": "x"}}}, "'pattern' of 'a'"),
        ({"properties": {"a <": {}}}, "'a <'"),
        ({"minProperties": 1}, "'minProperties'"),
        ({"": 1}, "keyword ''"),
        ({"properties": {"a": {"enum": 5}}}, "'enum' of 'a'"),
        ({"properties": {"a": {"type": "string", "minLength": "0}/"}}}, "'minLength' of 'a'"),
    ):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", **schema}}}
        with pytest.raises(openai.BadRequestError, match=word):
            ask(client, tools=[tool], tool_choice="required")


def test_arguments_that_broke_off_are_refused_where_the_template_takes_whole_ones_only(
    serve: Client, coder: Any, thinker: Any
) -> None:
    function = {"name": "get_weather", "arguments": '{"city": "Os'}
    call = {"id": "call_7", "type": "function", "function": function}
    messages = [*ASK, {"role": "assistant", "content": "", "tool_calls": [call]}, *ASK]
    with pytest.raises(openai.BadRequestError, match=r"'call_7' are no JSON object"):
        ask(serve(coder), messages=messages, max_tokens=1)
    assert ask(serve(thinker), messages=messages, max_tokens=1).choices


@pytest.mark.parametrize("model", ["wordy", "thinker", "coder", "channeler"])
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
