"""The `anthropic` SDK works against a worker unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2
import pytest
from anthropic.types import MessageParam
from plain_http import NO_TLS

QUESTION: list[MessageParam] = [
    {"role": "user", "content": "What is a slice?"},
    {"role": "assistant", "content": [{"type": "text", "text": "A part."}]},
    {"role": "user", "content": [{"type": "text", "text": "Of what?", "cache_control": {"type": "ephemeral"}}]},
]


@pytest.fixture
def client(chat_worker) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=chat_worker.url, api_key="unused", max_retries=0) as client:
        yield client


def test_a_whole_answer(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="chat", max_tokens=300, messages=QUESTION, system="Answer briefly.")
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "chat")
    (block,) = answer.content
    assert block.type == "text"
    assert block.text.startswith("Wordy one:")
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.output_tokens > 0
    counted = client.messages.count_tokens(model="chat", messages=QUESTION, system="Answer briefly.")
    cached = answer.usage.cache_read_input_tokens
    assert cached is not None
    assert counted.input_tokens == answer.usage.input_tokens + cached > 0
    assert answer._request_id


def test_a_short_answer_says_that_it_is_cut_off(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="chat", max_tokens=2, messages=QUESTION, top_k=5, top_p=0.9)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)


def test_a_stop_sequence_is_named(client: anthropic.Anthropic) -> None:
    asked = {"model": "chat", "max_tokens": 300, "messages": QUESTION, "stop_sequences": ["!!", " one:"]}
    whole = client.messages.create(**asked)
    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", " one:")
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", " one:")


def test_a_stream_is_the_whole_answer_in_parts(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(model="chat", max_tokens=40, temperature=0, messages=QUESTION)
    counted = client.messages.count_tokens(model="chat", messages=QUESTION).input_tokens
    for _ in range(20):
        with client.messages.stream(model="chat", max_tokens=40, temperature=0, messages=QUESTION) as stream:
            events = list(stream)
            final = stream.get_final_message()
        raw = [event.type for event in events if event.type != "text"]
        # On a busy machine a loop that is late has all of the answer at once.
        if raw.count("content_block_delta") > 1:
            break
    assert [block.model_dump(include={"type", "text"}) for block in final.content] == [
        block.model_dump(include={"type", "text"}) for block in whole.content
    ]
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (1, counted - 1), (
        "the same question again"
    )
    started = next(event.message.usage for event in events if event.type == "message_start")
    assert (started.input_tokens, started.cache_read_input_tokens) == (1, counted - 1)
    assert raw[0] == "message_start"
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert raw.count("content_block_delta") > 1


def test_a_stream_of_a_short_answer_ends_as_such(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="chat", max_tokens=1, messages=QUESTION) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 1)


async def test_the_async_client_on_the_beta_path(chat_worker) -> None:
    async with anthropic.AsyncAnthropic(base_url=chat_worker.url, api_key="unused") as client:
        answer = await client.beta.messages.create(
            model="chat", max_tokens=5, messages=[{"role": "user", "content": "Hi"}], betas=["some-beta-2026-01-01"]
        )
    assert answer.content


def test_an_answer_in_the_form_of_a_schema(client: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"], "additionalProperties": False}
    answer = client.messages.create(
        model="chat",
        max_tokens=100,
        messages=QUESTION,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert "".join(getattr(answer.content[0], "text", "").split()) == '{"a":7}'


def test_errors_are_the_sdks(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="other", max_tokens=1, messages=QUESTION)
    assert unknown.value.body["type"] == "error"
    assert unknown.value.body["request_id"] == unknown.value.request_id
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].*reads text only"):
        client.messages.create(
            model="chat",
            max_tokens=1,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}],
                }
            ],
        )
    with pytest.raises(anthropic.BadRequestError, match="context of this model is 512 tokens"):
        client.messages.create(model="chat", max_tokens=1, messages=[{"role": "user", "content": "a b " * 2000}])


def test_every_error_of_the_paths_has_the_shape(chat_worker) -> None:
    bad = {"model": "chat", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}], "temperature": 1.5}
    for path, body, status, kind in (
        ("/v1/messages", bad, 400, "invalid_request_error"),
        ("/v1/messages/count_tokens", bad, 400, "invalid_request_error"),
        ("/v1/messages/batches", {}, 404, "not_found_error"),
        ("/v1/messages", [], 400, "invalid_request_error"),
    ):
        answer = httpx2.post(
            f"{chat_worker.url}{path}", json=body, headers={"x-request-id": "ticket-7"}, timeout=60, verify=NO_TLS
        )
        assert answer.status_code == status, answer.text
        said = answer.json()
        assert (said["type"], said["error"]["type"], said["request_id"]) == ("error", kind, "ticket-7")
        assert answer.headers["request-id"] == answer.headers["x-request-id"] == "ticket-7"
    answer = chat_worker.get("/v1/messages")
    assert (answer.status_code, answer.json()["type"]) == (405, "error")
    assert "temperature" in chat_worker.post("/v1/messages", bad).json()["error"]["message"]
