"""`logprobs` and `logit_bias` over HTTP, with the openai SDK: whole and streamed, for both endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

HI: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(chat_worker: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat_worker.url}/v1", api_key="-", max_retries=0) as client:
        yield client


def test_a_chat_says_how_likely_its_tokens_were(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=HI, seed=1, logprobs=True, top_logprobs=3)
    choice = answer.choices[0]
    assert choice.logprobs
    assert choice.logprobs.content
    assert answer.usage
    assert len(choice.logprobs.content) == answer.usage.completion_tokens
    assert b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content).decode() == choice.message.content
    for token in choice.logprobs.content:
        assert -9999 <= token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert all(bytes(top.bytes or ()).decode("utf-8", "replace") == top.token for top in token.top_logprobs)


def test_a_stream_says_the_same_as_the_whole(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "chat", "messages": HI, "seed": 1, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked).choices[0].logprobs
    with client.chat.completions.create(**asked, stream=True) as stream:
        parts = [chunk.choices[0].logprobs for chunk in stream]
    assert whole
    assert [token for part in parts if part for token in part.content or ()] == whole.content


def test_without_asking_there_are_none(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=HI, max_tokens=2)
    assert answer.choices[0].logprobs is None


@pytest.mark.parametrize("count", [0, 2])
def test_a_completion_has_them_in_lists(client: openai.OpenAI, count: int) -> None:
    answer = client.completions.create(model="chat", prompt="Hello", max_tokens=6, seed=1, logprobs=count)
    chances = answer.choices[0].logprobs
    assert chances
    assert chances.tokens
    assert chances.token_logprobs
    assert chances.top_logprobs
    assert chances.text_offset
    assert "".join(chances.tokens) == answer.choices[0].text
    for token, logprob, top in zip(chances.tokens, chances.token_logprobs, chances.top_logprobs, strict=True):
        assert count <= len(top) <= count + 1
        assert top[token] == pytest.approx(logprob, abs=1e-5)
    starts = [len("".join(chances.tokens[:index])) for index in range(len(chances.tokens))]
    assert chances.text_offset == starts


def test_a_streamed_completion_has_them_as_well(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "chat", "prompt": "Hello", "max_tokens": 6, "seed": 1, "logprobs": 1}
    whole = client.completions.create(**asked).choices[0].logprobs
    with client.completions.create(**asked, stream=True) as stream:
        parts = [chunk.choices[0].logprobs for chunk in stream]
    assert whole
    assert [token for part in parts if part for token in part.tokens or ()] == whole.tokens
    assert [offset for part in parts if part for offset in part.text_offset or ()] == whole.text_offset


def test_a_bias_brings_a_token_about(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="chat", prompt="Hello", max_tokens=4, logit_bias={"70": 100})
    again = client.completions.create(model="chat", prompt="Other", max_tokens=4, logit_bias={"70": 100})
    assert answer.choices[0].text == again.choices[0].text
