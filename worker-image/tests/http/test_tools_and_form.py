"""Tools together with a `response_format`: an answer is calls, or content that keeps to the schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anthropic
import openai
import pytest
from pydantic import BaseModel, ConfigDict

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"unit": {"enum": ["C", "F"]}},
    "required": ["unit"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}},
]
ASK: list[Any] = [{"role": "user", "content": "Weather?"}]


class Feeling(BaseModel):
    """What content has to be."""

    model_config = ConfigDict(extra="forbid")
    feeling: Literal["good", "<tool_call>bad"]


SCHEMA = Feeling.model_json_schema()
FORM: Any = {"type": "json_schema", "json_schema": {"name": "feeling", "schema": SCHEMA}}
Client = Callable[..., openai.OpenAI]
TEMPLATES = {
    "mistral": (Path(__file__).parents[1] / "chat" / "templates" / "mistral-v3.jinja").read_text(),
    "mistral-args": """
{%- for message in messages -%}
{%- if message.role == 'user' %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS][INST]{{ message.content }}[/INST]
{%- elif message.tool_calls -%}
{%- for call in message.tool_calls %}[TOOL_CALLS]{{ call.function.name }}[ARGS]{{ call.function.arguments | tojson }}{% endfor -%}
{%- else %}{{ message.content }}{% endif -%}
{%- endfor -%}
""".strip(),
}


def either(content: str | None, calls: list[tuple[str, str]]) -> str:
    """Return what an answer is, once it is right."""
    if not calls:
        Feeling.model_validate_json(content or "")
        return "content"
    assert not content
    assert all(name == "get_weather" and json.loads(arguments)["unit"] in {"C", "F"} for name, arguments in calls)
    return "calls"


def served(serve: Client, request: pytest.FixtureRequest, model: str) -> openai.OpenAI:
    if template := TEMPLATES.get(model):
        return serve(request.getfixturevalue("wordy"), chat_template=template)
    return serve(request.getfixturevalue(model))


@pytest.mark.parametrize("model", ["wordy", "thinker", "coder", "mistral", "mistral-args"])
def test_any_model_calls_or_keeps_to_the_schema_whole_and_streamed(
    serve: Client, request: pytest.FixtureRequest, model: str
) -> None:
    client = served(serve, request, model)
    ask: dict[str, Any] = {"model": "chat", "messages": ASK, "tools": TOOLS, "response_format": FORM, "temperature": 2}
    for seed in range(2):
        choice = client.chat.completions.create(**ask, seed=seed).choices[0]
        message = choice.message
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        kind = either(message.content, calls)
        assert choice.finish_reason == {"content": "stop", "calls": "tool_calls"}[kind]
        with client.chat.completions.stream(**ask, seed=seed) as stream:
            final = stream.get_final_completion().choices[0]
        assert final.finish_reason == choice.finish_reason
        assert (final.message.content or None) == (message.content or None)
        streamed = [(call.function.name, call.function.arguments) for call in final.message.tool_calls or ()]
        assert streamed == calls
    # Where a call is required, the form says nothing of the answer, and without tools there is no call.
    for choice, kind in (("required", "calls"), ("none", "content")):
        message = client.chat.completions.create(**ask, tool_choice=choice, seed=1).choices[0].message
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        assert either(message.content, calls) == kind


@pytest.mark.parametrize(("tool_choice", "kind"), [("required", "calls"), ("none", "content")])
def test_channels_call_or_keep_to_the_schema_whole_and_streamed(
    serve: Client, channeler: Any, tool_choice: str, kind: str
) -> None:
    """With `auto` the made model thinks for ever: what ends a thought in channels ends an answer of its vocabulary."""
    client = serve(channeler)
    ask: dict[str, Any] = {"model": "chat", "messages": ASK, "tools": TOOLS, "response_format": FORM}
    asked = {**ask, "tool_choice": tool_choice, "temperature": 2, "seed": 1}
    choice = client.chat.completions.create(**asked).choices[0]
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    assert either(choice.message.content, calls) == kind
    assert choice.finish_reason == {"content": "stop", "calls": "tool_calls"}[kind]
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert (final.message.content or None, final.finish_reason) == (
        choice.message.content or None,
        choice.finish_reason,
    )
    assert [(call.function.name, call.function.arguments) for call in final.message.tool_calls or ()] == calls


def test_in_the_other_dialects(serve: Client, thinker: Any) -> None:
    client = serve(thinker)
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]
    form: Any = {"format": {"type": "json_schema", "name": "feeling", "schema": SCHEMA}}
    ask: dict[str, Any] = {"model": "chat", "input": "Weather?", "tools": tools, "text": form, "temperature": 0}
    answer = client.responses.create(**ask)
    calls = [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]
    assert either(answer.output_text, calls)
    *_, done = client.responses.create(**ask, stream=True)
    assert done.type == "response.completed"
    assert done.response.output_text == answer.output_text
    with anthropic.Anthropic(base_url=str(client.base_url).removesuffix("/v1/"), api_key="-", max_retries=0) as other:
        message = other.messages.create(
            model="chat",
            max_tokens=300,
            temperature=0,
            messages=[{"role": "user", "content": "Weather?"}],
            tools=[{"name": "get_weather", "input_schema": WEATHER, "strict": True}],
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        )
    texts = "".join(block.text for block in message.content if block.type == "text")
    used = [(block.name, json.dumps(block.input)) for block in message.content if block.type == "tool_use"]
    assert either(texts, used)
