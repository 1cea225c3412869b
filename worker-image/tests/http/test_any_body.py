"""Whatever a body holds, it is either a request within its bounds or a 400 in words, and what is wrong is found once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from slicewise_worker.http.errors import from_validation
from slicewise_worker.http.schema import ChatRequest, CompletionRequest

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def bodies(kind: type[BaseModel], valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from([*kind.model_fields, "unknown"])
    return st.dictionaries(names, VALUES, max_size=4).map(lambda change: valid | change)


def check(kind: type[BaseModel], body: dict[str, Any]) -> None:
    try:
        kind.model_validate_json(json.dumps(body))
    except ValidationError as error:
        refused = from_validation(error)
        assert refused.status == 400
        assert refused.message
        assert len(refused.message) < 1000


@fuzzed(100, bodies(ChatRequest, {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}))
def test_any_conversation(body: dict[str, Any]) -> None:
    check(ChatRequest, body)


@fuzzed(100, bodies(CompletionRequest, {"model": "chat", "prompt": "Hi"}))
def test_any_prompt(body: dict[str, Any]) -> None:
    check(CompletionRequest, body)


HI = {"role": "user", "content": "Hi"}
MANY = 50_000
LONG = "x" * 1_000_000
WRONG = {
    "unknown fields": {f"f{number}": 1 for number in range(MANY)},
    "fields of a message": {"messages": [HI | {f"f{number}": 1 for number in range(MANY)}]},
    "messages": {"messages": [{"role": 1}] * 10_000},
    "parts of a message": {"messages": [{"role": "user", "content": [1] * MANY}]},
    "metadata": {"metadata": {f"m{number}": 1 for number in range(MANY)}},
    "modalities": {"modalities": ["x"] * MANY},
    "stops": {"stop": [1] * MANY},
    "options": {"stream_options": {f"f{number}": 1 for number in range(MANY)}},
    "a long name": {LONG: 1},
    "a long value": {"temperature": LONG},
    "a list for a number": {"temperature": [[LONG[:100]] * 8] * 1000},
    "fields one by one": {name: {"x": LONG} for name in ChatRequest.model_fields},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_body_with_many_wrong_things_makes_few_errors_and_a_short_answer(wrong: dict[str, Any]) -> None:
    body = json.dumps({"model": "chat", "messages": [HI]} | wrong)
    with pytest.raises(ValidationError) as found:
        ChatRequest.model_validate_json(body)
    assert found.value.error_count() <= len(ChatRequest.model_fields)
    refused = from_validation(found.value)
    assert refused.status == 400
    assert len(refused.message) + len(refused.param or "") < 500


def test_null_is_not_given_however_often() -> None:
    body = {"model": "chat", "messages": [HI]} | {f"f{number}": None for number in range(MANY)}
    assert ChatRequest.model_validate_json(json.dumps(body)).model == "chat"
