"""Whatever a schema holds, it is refused in words or kept to, and neither takes the engine longer than its bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from any_schema import SCHEMAS, Schema
from fuzzing import fuzzed

from slicewise_worker.engine.constraint import GrammarError, Grammars
from slicewise_worker.engine.llama import Model, start_backend
from slicewise_worker.engine.request import ConstraintError

TOKENS = 60


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[Model]:
    start_backend()
    model = Model(tiny, gpu=False)
    yield model
    model.close()


def refused(error: Exception) -> None:
    assert 0 < len(str(error)) <= 400


def written(model: Model, grammars: Grammars, schema: Schema) -> str | None:
    """Return what a model that picks at random writes; None where the schema is refused, or the answer is not whole."""
    try:
        constraint = grammars.json_schema(schema)
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
    if (text := written(model, model.grammars, schema)) is not None:
        json.loads(text)
