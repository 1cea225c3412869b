"""What a worker refuses: the status, the field, and what the message says to do."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}
PLAIN = {"model": "chat", "prompt": "Hi"}


def error_of(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "message", "param", "type"]
    return body["error"]


WRONG_FIELDS = [
    ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
    ({"temperature": "warm"}, "temperature", "number"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"top_p": 0}, "top_p", "greater than 0"),
    ({"top_k": -1}, "top_k", "greater than or equal to 0"),
    ({"min_p": 1.5}, "min_p", "less than or equal to 1"),
    ({"frequency_penalty": 3}, "frequency_penalty", "less than or equal to 2"),
    ({"presence_penalty": -3}, "presence_penalty", "greater than or equal to -2"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "integer"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"n": 3}, "n", "at most 2"),
    ({"seed": "x"}, "seed", "integer"),
    ({"stop": 5}, "stop", "string or a list"),
    ({"stop": [""]}, "stop", "1 to 256 characters"),
    ({"stop": ["a"] * 17}, "stop", "at most 16"),
    ({"stream": "yes"}, "stream", "boolean"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "boolean"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'user'"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "string or a list of text parts"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", '"type": "text"'),
    ({"messages": [{"role": "user", "content": "x", "audio": 1}]}, "messages[0].audio", "remove it"),
    ({"response_format": {"type": "json_object"}}, "response_format.type", "'text'"),
    ({"logprobs": True}, "logprobs", "not supported"),
    ({"tools": [{"type": "function"}]}, "tools", "not supported"),
    ({"logit_bias": {"5": 1}}, "logit_bias", "not supported"),
    ({"colour": "red"}, "colour", "remove it"),
]


@pytest.mark.parametrize(("change", "param", "words"), WRONG_FIELDS, ids=[str(case[0])[:40] for case in WRONG_FIELDS])
def test_a_wrong_field_is_named_with_what_to_write(chat_worker, change: dict[str, Any], param: str, words: str) -> None:
    response = chat_worker.post("/v1/chat/completions", CHAT | change)
    error = error_of(response)
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert f"'{param}'" in error["message"]
    assert words in error["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a", "b", "c"]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"messages": []}, "messages"),
    ],
)
def test_wrong_fields_of_a_plain_completion(chat_worker, change: dict[str, Any], param: str) -> None:
    response = chat_worker.post("/v1/completions", PLAIN | change)
    assert (response.status_code, error_of(response)["param"]) == (400, param)


def test_fields_that_ask_for_nothing_are_accepted(chat_worker) -> None:
    harmless = {
        "user": "u",
        "logprobs": False,
        "tools": None,
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "temperature": None,
        "stop": None,
        "store": False,
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "max_tokens": 3,
    }
    assert chat_worker.post("/v1/chat/completions", CHAT | harmless).status_code == 200


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(chat_worker, missing: str) -> None:
    response = chat_worker.post("/v1/chat/completions", {key: value for key, value in CHAT.items() if key != missing})
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, missing, "missing_required_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(chat_worker, body: bytes) -> None:
    response = httpx2.post(f"{chat_worker.url}/v1/chat/completions", content=body)
    error = error_of(response)
    assert response.status_code == 400
    assert len(error["message"]) < 300


def test_a_body_beyond_the_limit_is_refused_without_reading_it_all(chat_worker) -> None:
    response = chat_worker.post("/v1/chat/completions", CHAT | {"user": "x" * (1 << 21)})
    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(chat_worker) -> None:
    response = chat_worker.post("/v1/completions", PLAIN | {"prompt": [5] * 600})
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "prompt")
    assert "600 tokens" in error["message"]
    assert "512 tokens" in error["message"]
    chat = chat_worker.post("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": "x " * 600}]})
    assert (chat.status_code, error_of(chat)["param"]) == (400, "messages")


def test_the_longest_prompt_that_fits_is_answered(chat_worker) -> None:
    response = chat_worker.post("/v1/completions", PLAIN | {"prompt": [5] * 511, "max_tokens": 100})
    assert response.status_code == 200
    assert response.json()["usage"]["completion_tokens"] <= 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("GET", "/v1/nothing", 404), ("POST", "/", 404)],
)
def test_unknown_paths_answer_in_the_same_shape(chat_worker, method: str, path: str, status: int) -> None:
    response = httpx2.request(method, f"{chat_worker.url}{path}")
    assert response.status_code == status
    assert path in error_of(response)["message"]


def test_refusals_are_counted(chat_worker) -> None:
    before = chat_worker.metric("slicewise_worker_rejected_total", code="unknown_parameter")
    chat_worker.post("/v1/chat/completions", CHAT | {"colour": "red"})
    assert chat_worker.metric("slicewise_worker_rejected_total", code="unknown_parameter") == before + 1
