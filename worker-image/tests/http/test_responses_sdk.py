"""The Responses API by the `openai` SDK, which is used as it is."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

ITEMS = [
    {"role": "user", "content": "What is a slice?"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "A part.", "annotations": []}],
    },
    {"role": "user", "content": [{"type": "input_text", "text": "Of what?"}]},
]


@pytest.fixture
def client(chat_worker) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat_worker.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="chat", input="What is a slice?", instructions="Answer briefly.", metadata={"a": "b"}
    )
    assert answer.output_text.startswith("Wordy one:")
    assert (answer.status, answer.store, answer.metadata, answer.error) == ("completed", False, {"a": "b"}, None)
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    again = client.responses.create(model="chat", input=[*ITEMS, *answer.output, {"role": "user", "content": "And?"}])  # type: ignore[list-item] # shortened
    assert again.status == "completed"


def test_a_short_answer_is_incomplete(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="chat", input="What is a slice?", max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_stream_is_the_whole_answer_in_parts(client: openai.OpenAI) -> None:
    most, end = 40, "incomplete"
    whole = client.responses.create(model="chat", input=ITEMS, temperature=0, max_output_tokens=most)  # type: ignore[arg-type] # shortened
    with client.responses.stream(model="chat", input=ITEMS, temperature=0, max_output_tokens=most) as stream:  # type: ignore[arg-type] # shortened
        events = list(stream)
    assert [event.sequence_number for event in events] == [*range(len(events))]
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", end]
    final = events[-1].response  # type: ignore[union-attr] # the last has one
    assert final.status == whole.status == end
    assert final.output_text == whole.output_text
    assert final.usage
    assert whole.usage
    assert final.usage.total_tokens == whole.usage.total_tokens
    # It is the same question again; what is left is the token that is always read.
    assert final.usage.input_tokens_details.cached_tokens == final.usage.input_tokens - 1
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text


def test_a_stream_that_comes_to_its_end_is_completed(client: openai.OpenAI) -> None:
    with client.responses.stream(model="chat", input="What is a slice?") as stream:
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_text.startswith("Wordy one:")


def test_an_answer_in_the_form_of_a_schema(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"], "additionalProperties": False}
    answer = client.responses.create(
        model="chat",
        input="a?",
        text={"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}},
    )
    assert "".join(answer.output_text.split()) == '{"a":7}'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("prompt", {"id": "pmpt_1"}),
        ("truncation", "auto"),
    ],
)
def test_what_needs_state_is_refused_by_name(client: openai.OpenAI, field: str, value: object) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="chat", input="Hi", **{field: value})  # type: ignore[arg-type] # one of many
    assert refused.value.param == field


def test_what_a_worker_cannot_read_is_refused_by_its_place(client: openai.OpenAI) -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="chat", input=[image])  # type: ignore[list-item] # shortened
    assert refused.value.param == "input[0].content[0]"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="chat", input="Hi", tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}])
    assert refused.value.param == "tools[0]"


def test_tools_that_openai_runs_are_left_out_where_agents_always_offer_them(client: openai.OpenAI) -> None:
    def count(*tools: object) -> int:
        answer = client.responses.create(model="chat", input="Hi", max_output_tokens=1, tools=list(tools))  # type: ignore[arg-type] # some are wrong
        assert answer.usage
        return answer.usage.input_tokens

    search = {"type": "web_search", "external_web_access": False}
    function = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    assert count(search, function) == count(function) > count(search) == count()
    for bad in (None, {"type": "file_search"}, {"type": 7}):
        with pytest.raises(openai.BadRequestError) as refused:
            count(search, bad)
        assert (refused.value.param or "").startswith("tools[1]")
