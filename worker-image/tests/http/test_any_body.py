"""Whatever a body holds, it is either a request within its bounds or a 400 in words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
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


@settings(deadline=None)
@given(bodies(ChatRequest, {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}))
def test_any_conversation(body: dict[str, Any]) -> None:
    check(ChatRequest, body)


@settings(deadline=None)
@given(bodies(CompletionRequest, {"model": "chat", "prompt": "Hi"}))
def test_any_prompt(body: dict[str, Any]) -> None:
    check(CompletionRequest, body)
