"""`response_format` over HTTP: whole and streamed, for both endpoints, with the openai SDK and pydantic models."""

from __future__ import annotations

import json
from typing import Any, Literal

import httpx2
import openai
import pytest
from plain_http import NO_TLS
from pydantic import BaseModel, ConfigDict, Field

HI: list[Any] = [{"role": "user", "content": "Hi"}]


class Slice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    zone: Literal["a", "b"]
    gigabytes: int = Field(ge=1, le=80)
    devices: list[bool] = Field(min_length=1, max_length=2)


@pytest.fixture
def client(chat_worker: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{chat_worker.url}/v1", api_key="-", max_retries=0)


def test_the_sdk_parses_answers_into_models(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="chat", messages=HI, response_format=Slice, n=2, seed=1)
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        assert isinstance(choice.message.parsed, Slice)


def test_a_stream_keeps_to_a_schema_too(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="chat", messages=HI, response_format=Slice, seed=2) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert isinstance(answer.choices[0].message.parsed, Slice)


def test_any_json_object(chat_worker: Any) -> None:
    body = {"model": "chat", "messages": HI, "response_format": {"type": "json_object"}, "max_tokens": 40, "seed": 1}
    choice = chat_worker.post("/v1/chat/completions", body).json()["choices"][0]
    assert choice["message"]["content"].startswith("{")
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(choice["message"]["content"]), dict)


def test_completions_take_a_form_as_well(chat_worker: Any) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "zone", "schema": {"const": {"zone": 7}}, "strict": True}}
    body = {"model": "chat", "prompt": ["Hi", "Ho"], "response_format": form, "max_tokens": 100}
    choices = chat_worker.post("/v1/completions", body).json()["choices"]
    assert [json.loads(choice["text"]) for choice in choices] == [{"zone": 7}] * 2


def test_text_and_null_are_any_text(chat_worker: Any) -> None:
    bodies = [
        {"model": "chat", "messages": HI, "temperature": 0, "response_format": form}
        for form in (None, {"type": "text"})
    ]
    answers = [chat_worker.post("/v1/chat/completions", body).json()["choices"] for body in bodies]
    assert answers[0] == answers[1]


def test_a_schema_that_explodes_is_refused_and_the_worker_goes_on(chat_worker: Any) -> None:
    schema = {"enum": [f"value {number}" for number in range(50_000)]}
    form = {"type": "json_schema", "json_schema": {"name": "many", "schema": schema}}
    response = chat_worker.post("/v1/chat/completions", {"model": "chat", "messages": HI, "response_format": form})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert "characters" in error["message"]
    assert httpx2.get(f"{chat_worker.url}/readyz", verify=NO_TLS).status_code == 200


@pytest.mark.parametrize("family", ["thinker", "channeler"])
def test_an_answer_in_a_form_is_content_whatever_the_model_does_before_it_answers(
    shared_worker: Any, request: pytest.FixtureRequest, family: str
) -> None:
    worker = shared_worker(request.getfixturevalue(family), context_tokens=2048, parallel_sequences=2)
    schema = {"type": "object", "properties": {"zone": {"enum": ["<think>a</think>"]}}, "required": ["zone"]}
    asked = {
        "type": "json_schema",
        "json_schema": {"name": "zone", "schema": {**schema, "additionalProperties": False}},
    }
    message = worker.post(
        "/v1/chat/completions", {"model": "chat", "messages": HI, "response_format": asked, "temperature": 0}
    ).json()["choices"][0]["message"]
    assert json.loads(message["content"]) == {"zone": "<think>a</think>"}
    assert not message.get("reasoning_content")
