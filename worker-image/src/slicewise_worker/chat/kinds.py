"""What an argument that came as text is by the schema of its function. Pure; the work is bounded whatever the schema says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

ALL: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
TEXT: Final = frozenset({"string"})
_MOST_SCHEMAS: Final = 256
"""Looked at for one argument: schemas that refer to themselves have no end."""
_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
"""Templates that write values with Jinja's `string` teach their models Python's words."""
_LARGEST: Final = 2**53


class _Kinds:
    """Finds the kinds of values that a schema allows."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST_SCHEMAS

    def of(self, schema: Any) -> frozenset[str]:
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0:
            return ALL
        found = ALL
        if isinstance(reference := schema.get("$ref"), str):
            found &= self.of(resolved(self._root, reference))
        if (named := schema.get("type")) is not None:
            names = {name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)}
            found &= names | ({"integer"} if "number" in names else set())
        if isinstance(values := schema.get("enum", [schema["const"]] if "const" in schema else None), list):
            found &= frozenset(map(kind_of, values))
        for part in _parts(schema, "allOf"):
            found &= self.of(part)
        for word in ("anyOf", "oneOf"):
            if parts := _parts(schema, word):
                found &= frozenset().union(*map(self.of, parts))
        return found or ALL


def _parts(schema: Mapping[str, Any], word: str) -> list[Any]:
    parts = schema.get(word)
    return parts if isinstance(parts, list) else []


def resolved(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a reference within a schema means, None for any other."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for name in reference[1:].split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def kinds_of(parameters: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the kinds of values that the argument `name` may have."""
    properties = parameters.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    return _Kinds(parameters).of(parameters.get("additionalProperties") if schema is None else schema)


def kind_of(value: object) -> str:
    """Return JSON Schema's word for a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def as_json(text: str, kinds: Iterable[str]) -> str:
    """Return an argument that the model wrote as `text` as JSON: of one of `kinds`, where it can be read as such."""
    word = _WORDS.get(text.strip(), text.strip())
    try:
        value = json.loads(word, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    kind = kind_of(value)
    if kind == "string":
        # Texts are written without quotes, so these are part of it.
        return json.dumps(text, ensure_ascii=False) if "string" in kinds else word
    if kind in kinds:
        return word
    if isinstance(value, float) and "integer" in kinds and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    return json.dumps(text, ensure_ascii=False) if "string" in kinds else word


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
