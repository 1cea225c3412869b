"""From `response_format` to what the engine keeps an answer to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError, Grammars
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.format_fields import ResponseFormat

_SCHEMA = "response_format.json_schema.schema"


def constraint_for(asked: ResponseFormat | None, grammars: Grammars) -> GrammarConstraint | None:
    """Return the constraint for one choice, None for any text; raises `ApiError`, and `UntriedError`, which `Intake` sees to."""
    schema = None if asked is None else asked.wanted
    return None if schema is None else schema_constraint(schema, grammars)


def schema_constraint(schema: Mapping[str, Any], grammars: Grammars) -> GrammarConstraint:
    """Return the constraint to texts of `schema`; raises as `constraint_for` does."""
    try:
        return grammars.json_schema(dict(schema), wait=False)
    except GrammarError as error:
        raise ApiError(400, f"Invalid '{_SCHEMA}': {error}.", code="invalid_value", param=_SCHEMA) from error
