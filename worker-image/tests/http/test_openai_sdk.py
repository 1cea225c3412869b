"""The `openai` SDK works against a worker unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": [{"type": "text", "text": "What is a slice?"}]},
]


@pytest.fixture
def client(chat_worker) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat_worker.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=QUESTION)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.message.content.startswith("Wordy one:")
    assert choice.finish_reason == "stop"
    assert answer.model == "chat"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_streamed_answer_is_the_whole_answer_in_parts(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=QUESTION, seed=7)
    with client.chat.completions.create(
        model="chat", messages=QUESTION, seed=7, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        whole.choices[0].message.content
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_without_usage_ends_with_its_last_choice(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="chat", messages=QUESTION, seed=7, stream=True) as stream:
        chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_async_client(chat_worker) -> None:
    async with openai.AsyncOpenAI(base_url=f"{chat_worker.url}/v1", api_key="unused") as client:
        stream = await client.chat.completions.create(model="chat", messages=QUESTION, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text.startswith("Wordy one:")


def test_the_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="chat", messages=QUESTION, seed=3) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.content


def test_two_choices_differ_and_a_seed_gives_both_again(client: openai.OpenAI) -> None:
    def ask() -> list[str | None]:
        answer = client.chat.completions.create(model="chat", messages=QUESTION, n=2, seed=11)
        assert [choice.index for choice in answer.choices] == [0, 1]
        return [choice.message.content for choice in answer.choices]

    first = ask()
    assert first == ask()
    assert first[0] != first[1]


def test_two_choices_streamed_together(client: openai.OpenAI) -> None:
    texts = {0: "", 1: ""}
    with client.chat.completions.create(model="chat", messages=QUESTION, n=2, stream=True) as stream:
        for chunk in stream:
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert all(text.startswith("Wordy one:") for text in texts.values())


def test_stop_limit_and_temperature(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=QUESTION, stop=["one"], temperature=0)
    assert answer.choices[0].message.content == "Wordy "
    answer = client.chat.completions.create(model="chat", messages=QUESTION, max_completion_tokens=3, temperature=0.5)
    assert answer.usage
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


def test_a_plain_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="chat", prompt="The worker", max_tokens=4, seed=1)
    assert answer.choices[0].text
    assert answer.usage
    assert answer.usage.completion_tokens <= 4
    several = client.completions.create(model="chat", prompt=["The worker", "The pool"], max_tokens=4)
    assert [choice.index for choice in several.choices] == [0, 1]
    with client.completions.create(model="chat", prompt=[5, 6, 7], max_tokens=4, seed=1, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream)


def test_the_list_of_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat"]
    assert client.models.retrieve("chat").id == "chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_a_wrong_model_is_the_error_that_clients_know(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert error.value.code == "model_not_found"
    assert "'gpt-9'" in error.value.message
    assert "'chat'" in error.value.message
