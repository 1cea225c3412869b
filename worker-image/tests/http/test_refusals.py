"""What a worker refuses: the status, the field, and what the message says to do."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from plain_http import NO_TLS

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}
PLAIN = {"model": "chat", "prompt": "Hi"}

CALL = {"id": "x", "type": "function", "function": {"name": "a", "arguments": "{}"}}
NAMED = {"type": "function", "function": {"name": "b"}}
DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"properties": {"x": DEEP}}


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def custom(form: dict[str, Any]) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": "patch", "format": form}}


LARK = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: [start]"}}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def error_of(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "message", "param", "type"]
    return body["error"]


WRONG_FIELDS = [
    ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
    ({"temperature": "warm"}, "temperature", "number"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"top_p": -0.1}, "top_p", "greater than or equal to 0"),
    ({"top_k": -2}, "top_k", "greater than or equal to -1"),
    ({"top_k": 1.5}, "top_k", "integer"),
    ({"repetition_penalty": 1.1}, "repetition_penalty", "should be 1"),
    ({"min_p": 1.5}, "min_p", "less than or equal to 1"),
    ({"frequency_penalty": 3}, "frequency_penalty", "less than or equal to 2"),
    ({"presence_penalty": -3}, "presence_penalty", "greater than or equal to -2"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"max_tokens": -2}, "max_tokens", "-1 for as many"),
    ({"max_tokens": True}, "max_tokens", "integer"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "integer"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}], "content": ""}]},
        "messages[0].tool_calls[0]",
        "needs 'function'",
    ),
    ({"messages": [{"role": "tool", "content": "9"}]}, "messages[0]", "needs 'tool_call_id'"),
    ({"messages": [{"role": "user", "content": "9", "tool_call_id": "x"}]}, "messages[0]", "no other"),
    ({"messages": [{"role": "function", "name": "f", "content": "9"}]}, "messages[0].role", "'tool'"),
    ({"messages": [{"role": "user", "content": "9", "tool_calls": [CALL]}]}, "messages[0]", "'assistant' only"),
    ({"messages": [{"role": "assistant", "tool_calls": [CALL] * 129}]}, "messages[0].tool_calls", "at most 128"),
    ({"tools": [{"type": "function"}]}, "tools[0]", "needs 'function'"),
    ({"tools": [{"type": "custom", "function": {"name": "a"}}]}, "tools[0]", "needs 'custom'"),
    ({"tools": [custom({"type": "grammar"})]}, "tools[0].custom.format", "'grammar'"),
    ({"tools": [custom(LARK)]}, "tools[0].custom.format.grammar.definition", "'start' refers to itself"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'function'"),
    ({"tools": [tool("get weather")]}, "tools[0].function.name", "pattern"),
    ({"tools": [tool("x" * 65)]}, "tools[0].function.name", "pattern"),
    ({"tools": [tool("a")] * 129}, "tools", "at most 128"),
    ({"tools": [tool("a"), tool("a")]}, "tools", "'a'"),
    ({"tools": [tool("a", {"type": "array"})]}, "tools[0].function.parameters", "object"),
    ({"tools": [tool("a", {"title": "x" * 65_537})]}, "tools[0].function.parameters", "65536 characters"),
    ({"tools": [tool("a", DEEP)]}, "tools[0].function.parameters", "64 levels"),
    ({"tools": [tool("a")], "tool_choice": "any"}, "tool_choice", '"required"'),
    ({"tool_choice": "required"}, "tool_choice", "no 'tools'"),
    ({"tools": [tool("a")], "tool_choice": NAMED}, "tool_choice", "'b', which is not among"),
    ({"tools": [tool("a", {"not": {}})], "tool_choice": "required"}, "tools", "not"),
    ({"tools": [tool("a", {"x-guidance": {}})], "tool_choice": "required"}, "tools", "x-guidance"),
    ({"tools": [tool("a")], "response_format": form({"not": {}})}, "response_format.json_schema.schema", "not"),
    (
        {"tools": [tool("a")], "response_format": form({"x-guidance": {}})},
        "response_format.json_schema.schema",
        "x-gui",
    ),
    (
        {"tools": [tool("a", {"x-guidance": {}}, strict=True)], "response_format": form({})},
        "response_format",
        "together with 'tools'",
    ),
    ({"functions": [{"name": "a"}]}, "functions", "use 'tools'"),
    ({"function_call": {"name": "a"}}, "function_call", "'none'"),
    ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs", "does not set"),
    ({"chat_template_kwargs": {"raise_exception": 1}}, "chat_template_kwargs", "not 'raise_exception'"),
    ({"chat_template_kwargs": {"x": [[[[[[[[1]]]]]]]]}}, "chat_template_kwargs", "8 levels"),
    ({"chat_template_kwargs": {"x": ["y" * 4096]}}, "chat_template_kwargs", "4096 characters"),
    ({"reasoning_effort": "deep"}, "reasoning_effort", "'minimal'"),
    ({"chat_template_kwargs": {f"x{number}": 1 for number in range(17)}}, "chat_template_kwargs", "16"),
    ({"reasoning_format": "raw"}, "reasoning_format", "'none'"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"n": 3}, "n", "at most 2"),
    ({"seed": "x"}, "seed", "integer"),
    ({"stop": 5}, "stop", "string or a list"),
    ({"stop": [""]}, "stop", "1 to 256 characters"),
    ({"stop": ["a"] * 17}, "stop", "at most 16"),
    ({"stop": [f"stop {number}" for number in range(1000)]}, "stop", "at most 16"),
    ({"stream": "yes"}, "stream", "boolean"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "boolean"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'user'"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "string or a list of text parts"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", '"type": "text"'),
    ({"messages": [{"role": "user", "content": "x", "audio": 1}]}, "messages[0].audio", "leave it out"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "'json_schema'"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "needs 'json_schema'"),
    ({"response_format": {"type": "text", "json_schema": {"name": "a"}}}, "response_format", "no other"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
        "Missing",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": []}}},
        "response_format.json_schema.schema",
        "object",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}}},
        "response_format.json_schema.schema",
        '"not"',
    ),
    ({"logprobs": 3}, "logprobs", "boolean"),
    ({"top_logprobs": 3}, "top_logprobs", "'logprobs': true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", "less than or equal to 100"),
    ({"logit_bias": {"word": 1}}, "logit_bias", "not 'word'"),
    ({"logit_bias": {"": 1}}, "logit_bias", "not ''"),
    ({"logit_bias": {str(token): 1 for token in range(301)}}, "logit_bias", "at most 300"),
    ({"logit_bias": {"9999999": 1}}, "logit_bias", "no token of this model"),
    ({"colour": "red"}, "colour", "remove it"),
    ({"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages[0].colour", "remove it"),
    ({"metadata": {str(number): "x" for number in range(17)}}, "metadata", "at most 16 entries"),
    ({"metadata": {"a": 1}}, "metadata.a", "string"),
    ({"modalities": ["text"] * 17}, "modalities", "at most 16 entries"),
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
        ({"echo": 1}, "echo"),
        ({"best_of": 0}, "best_of"),
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
        "metadata": {str(number): "x" for number in range(16)},
        "service_tier": "flex",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "cache_prompt": True,
        "repetition_penalty": 1.0,
        "top_logprobs": 0,
        "modalities": ["text"],
        "functions": [],
        "function_call": "none",
        "a_field_of_some_client": None,
        "max_tokens": 3.0,
        "n": 1.0,
        "top_k": -1,
        "top_p": 0,
        "messages": [
            {"role": "user", "content": "Hi", "audio": None},
            {
                "role": "assistant",
                "content": "Hello",
                "tool_calls": None,
                "refusal": None,
                "annotations": [],
                "function_call": None,
                "reasoning_content": "They greet me.",
                "a_field_of_some_server": None,
            },
            {"role": "user", "content": "And now?"},
        ],
    }
    answer = chat_worker.post("/v1/chat/completions", CHAT | harmless)
    assert (answer.status_code, answer.json()["usage"]["completion_tokens"]) == (200, 3)


@pytest.mark.parametrize("change", [{"top_p": 0}, {"top_k": 1}, {"top_k": 1.0}])
def test_where_one_token_is_left_nothing_is_left_to_chance(chat_worker, change: dict[str, Any]) -> None:
    asked = CHAT | {"max_tokens": 20, "temperature": 2} | change
    answers = [chat_worker.post("/v1/chat/completions", asked | {"seed": seed}).json() for seed in range(4)]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_no_limit_of_its_own_lets_an_answer_use_what_room_there_is(chat_worker) -> None:
    """A plain completion has 16 tokens otherwise."""
    whole = chat_worker.post("/v1/completions", PLAIN | {"prompt": [5] * 491, "max_tokens": -1, "temperature": 0})
    choice = whole.json()["choices"][0]
    assert choice["finish_reason"] == "stop" or whole.json()["usage"]["completion_tokens"] == 512 - 491


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(chat_worker, missing: str) -> None:
    response = chat_worker.post("/v1/chat/completions", {key: value for key, value in CHAT.items() if key != missing})
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, missing, "missing_required_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(chat_worker, body: bytes) -> None:
    response = httpx2.post(f"{chat_worker.url}/v1/chat/completions", content=body, verify=NO_TLS)
    error = error_of(response)
    assert response.status_code == 400
    assert len(error["message"]) < 300


def test_a_body_beyond_the_limit_is_refused_without_reading_it_all(chat_worker) -> None:
    response = chat_worker.post("/v1/chat/completions", CHAT | {"user": "x" * (17 << 20)})
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
    response = httpx2.request(method, f"{chat_worker.url}{path}", verify=NO_TLS)
    assert response.status_code == status
    assert path in error_of(response)["message"]
    assert response.headers.get("Allow") == ("POST" if status == 405 else None)
    assert ("The path takes POST." in error_of(response)["message"]) == (status == 405)


def test_an_unknown_path_is_told_all_that_there_are(chat_worker) -> None:
    message = error_of(httpx2.get(f"{chat_worker.url}/v1/nothing", verify=NO_TLS))["message"]
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/{name}", "/openapi.json"):
        assert path in message


def test_refusals_are_counted(chat_worker) -> None:
    before = chat_worker.metric("slicewise_worker_rejected_total", code="unknown_parameter")
    chat_worker.post("/v1/chat/completions", CHAT | {"colour": "red"})
    assert chat_worker.metric("slicewise_worker_rejected_total", code="unknown_parameter") == before + 1
