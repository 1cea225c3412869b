"""From a pydantic model to a structural OpenAPI schema, as a CustomResourceDefinition wants it.

What pydantic writes and Kubernetes forbids: `$ref`, a null beside a type, titles, `additionalProperties: false`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_DROPPED: Final = frozenset({"title", "$defs"})
_ORDER: Final[tuple[str, ...]] = ("description", "type", "format", "default", "enum")
"""Keys that come first, so that a person reads what a field is before its bounds."""


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model, with wire names, references written out, and keys in a fixed order."""
    generated = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(generated, generated.get("$defs", {}))


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    merged = _resolve(node, definitions)
    result: dict[str, Any] = {}
    for key, value in merged.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "additionalProperties":
            # A map has the schema of its values here; a model merely says whether it is closed.
            if isinstance(value, Mapping):
                result[key] = _structural(value, definitions)
        elif key == "properties":
            result[key] = {name: _structural(child, definitions) for name, child in value.items()}
        elif key == "items":
            result[key] = _structural(value, definitions)
        elif key == "description":
            result[key] = " ".join(value.split())
        else:
            result[key] = value
    if result.get("type") == "array":
        result.setdefault("x-kubernetes-list-type", "atomic")  # what Kubernetes takes it for anyway, said
    first = {key: result[key] for key in _ORDER if key in result}
    return {**first, **{key: value for key, value in sorted(result.items()) if key not in first}}


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow references and drop the null of optional fields. What stands beside a reference wins over what it names."""
    merged = dict(node)
    if "anyOf" in merged:
        forms = [form for form in merged.pop("anyOf") if form.get("type") != "null"]
        if len(forms) != 1:
            raise ValueError(f"a structural schema has one type for each field, got {forms}")
        merged = {**forms[0], **merged}
    if "$ref" in merged:
        target = definitions[str(merged.pop("$ref")).rpartition("/")[2]]
        merged = {**target, **merged}
    return _resolve(merged, definitions) if merged.keys() & {"$ref", "anyOf"} else merged
