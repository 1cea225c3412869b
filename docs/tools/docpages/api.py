"""docs/api.md: the tables of request fields. Which fields there are and what becomes of each is read from the worker's models.

Columns after the second are written in the page by hand and kept, and so are rows for fields that no model has: those are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from slicewise_worker.http import openapi, schema
from slicewise_worker.http.dialects.messages_request import CountRequest

BODIES: Final[dict[str, type[BaseModel]]] = {
    f"POST {path}": model for path, model in openapi.BODIES.items() if model is not CountRequest
}
"""Heading of a table in the page → the model of the body."""

NO_EFFECT: Final = frozenset(
    [
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "cache_prompt",
        "metadata",
        "store",
        "service_tier",
        "inference_geo",
        "cache_control",
        "signature",
        "data",
        "caller",
        "encrypted_content",
        "phase",
        "status",
        "annotations",
        "include",
        "context_management",
        "diagnostics",
        "eager_input_streaming",
        "budget_tokens",
    ]
)
"""Names of fields that change no answer, wherever they are, with all below them."""
NO_EFFECT_THERE: Final = frozenset(
    {
        "messages[].tool_calls[].index",
        "response_format.json_schema.name",
        "response_format.json_schema.description",
        "response_format.json_schema.strict",
        "messages[].refusal",
        "reasoning.summary",
        "reasoning.generate_summary",
        "input[].id",
        "input[].content[].logprobs",
    }
)
"""Fields that change no answer."""

_EMPTY: Final = ("", "", "", "")
_TABLE: Final = re.compile(
    r"(?ms)^### (?P<heading>[^\n]+)\n(?P<text>(?:(?!^#).)*?)(?P<table>^\| field \|.*?)(?=^[^|]|\Z)"
)
_CELLS: Final = re.compile(r"(?<!\\)\|")


def with_tables(page: str) -> str:
    """Return the page with its tables as the models say. Raises LookupError for a body without a table."""
    found = {match["heading"] for match in _TABLE.finditer(page)}
    if missing := BODIES.keys() - found:
        raise LookupError(f"docs/api.md has no table below the heading {min(missing)!r}")

    def written(match: re.Match[str]) -> str:
        model = BODIES.get(match["heading"])
        table = match["table"] if model is None else _table(match["table"], model)
        return f"### {match['heading']}\n{match['text']}{table}"

    return _TABLE.sub(written, page)


def states(model: type[BaseModel]) -> dict[str, str]:
    """Return the path of each field of a body → what becomes of it."""
    found = dict(_states(model, "", set()))
    if model is not schema.ChatRequest:
        # Of a chat request, after all.
        found |= {
            name: state for name, state in states(schema.ChatRequest).items() if name == "tools" and name in found
        }
    return found


def _table(before: str, model: type[BaseModel]) -> str:
    head, line, *rows = before.rstrip("\n").split("\n")
    width = len(_CELLS.split(head)) - 4
    kept = {cells[1].strip().strip("`"): cells[3:-1] for cells in map(_CELLS.split, rows)}
    found = states(model)
    every = found | {path: "refused" for path in kept if path not in found}
    lines = []
    for path, state in every.items():
        rest = [cell.strip() for cell in kept.get(path, _EMPTY)][:width]
        lines.append(" | ".join([f"| `{path}`", state, *rest, *[""] * (width - len(rest))]).rstrip() + " |")
    return "\n".join([head, line, *lines, "", ""]) if before.endswith("\n\n") else "\n".join([head, line, *lines, ""])


def _states(model: type[BaseModel], prefix: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """Yield the fields. A part that can be in several places is taken apart in the first."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        yield path, _state(path, field)
        for inner, many in _models(field.annotation):
            if inner not in seen:
                seen.add(inner)
                yield from _states(inner, f"{path}[]." if many else f"{path}.", seen)


def _state(path: str, field: FieldInfo) -> str:
    if any(
        isinstance(each, BeforeValidator) and each.func in {schema._unsupported, schema._old_functions}
        for each in field.metadata
    ):
        return "refused"
    if path in NO_EFFECT_THERE or not NO_EFFECT.isdisjoint(path.replace("[]", "").split(".")):
        return "no effect"
    values = [value for part in _parts(field.annotation) if get_origin(part) is Literal for value in get_args(part)]
    plain = all(part is type(None) or get_origin(part) is Literal for part in _parts(field.annotation))
    return "only " + ", ".join(f"`{_json(value)}`" for value in values) if plain and values else "yes"


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parts(annotation: Any) -> list[Any]:
    """Return the members of a union; any other type alone."""
    if get_origin(annotation) is None or get_origin(annotation) is Literal:
        return [annotation]
    return [part for each in get_args(annotation) for part in _parts(each)]


def _models(annotation: Any, *, many: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, many
    for each in get_args(annotation):
        yield from _models(each, many=many or get_origin(annotation) in {list, tuple})
