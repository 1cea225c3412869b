"""Whatever a schema holds, it is refused in words or kept to, and neither takes the engine longer than its bound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from any_schema import SCHEMAS, Schema
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.chat.formats import FORMATS, Format
from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError
from slicewise_worker.engine.llama import Model, start_backend
from slicewise_worker.engine.request import ConstraintError
from slicewise_worker.http.tool_fields import Function
from slicewise_worker.http.tool_grammar import Calls
from slicewise_worker.http.tools import ToolUse

TOKENS = 60
TAGGED = [form for form in FORMATS if form.writing.tags]


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[Model]:
    start_backend()
    model = Model(tiny, gpu=False)
    yield model
    model.close()


def refused(error: Exception) -> None:
    assert 0 < len(str(error)) <= 400


def written(model: Model, compiled: Callable[[], GrammarConstraint]) -> str | None:
    """Return what a model that picks at random writes; None where the schema is refused, or the answer is not whole."""
    try:
        constraint = compiled()
    except GrammarError as error:
        return refused(error)
    dice = np.random.default_rng(1)
    data = b""
    try:
        for _ in range(TOKENS):
            logits = dice.normal(size=model.vocabulary).astype(np.float32)
            constraint.apply(logits)
            token = int(logits.argmax())
            if model.tokenizer.ends(token):
                return data.decode()
            constraint.accept(token)
            data += model.tokenizer.piece(token)
            if constraint.done:
                return data.decode()
    except ConstraintError as error:
        return refused(error)
    return None


@fuzzed(15, SCHEMAS)
def test_any_schema(model: Model, schema: Schema) -> None:
    if (text := written(model, lambda: model.grammars.json_schema(schema))) is not None:
        json.loads(text)


@fuzzed(15, SCHEMAS, st.sampled_from(TAGGED))
def test_any_schema_of_arguments_in_tags(model: Model, schema: Schema, form: Format) -> None:
    use = ToolUse((Function.model_construct(name="f", parameters=schema),), required=True)
    written(model, lambda: model.grammars.lark(Calls(use, form, model.tokenizer).required()))
