"""From `response_format` to what the engine keeps an answer to."""

from __future__ import annotations

from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError, Grammars
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.format_fields import ResponseFormat

_SCHEMA = "response_format.json_schema.schema"


def constraint_for(asked: ResponseFormat | None, grammars: Grammars) -> GrammarConstraint | None:
    """Return the constraint for one choice, None for any text; raises `ApiError`, and `UntriedError`, which `Intake` sees to."""
    if asked is None or asked.type == "text":
        return None
    if asked.json_schema is None or asked.json_schema.definition is None:
        return grammars.json_object(wait=False)
    try:
        return grammars.json_schema(asked.json_schema.definition, wait=False)
    except GrammarError as error:
        raise ApiError(400, f"Invalid '{_SCHEMA}': {error}.", code="invalid_value", param=_SCHEMA) from error
