"""Is a status what the API declares? The API server drops undeclared fields silently, so tests look here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slicewise.api.labels import LABEL_ZONE
from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1 import CONDITIONS, ConditionType, Reason
from slicewise.api.v1alpha1.status import PoolStatus

_SCHEMA: Final = structural_schema(PoolStatus)


def undeclared(status: Mapping[str, Any]) -> list[str]:
    """Return what in a status the API does not declare: fields, condition types, reasons of a condition."""
    return [*_fields(_SCHEMA, status, "status"), *_conditions(status)]


def _fields(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name in schema["properties"]:
                yield from _fields(schema["properties"][name], child, f"{path}.{name}")
            else:
                yield f"{path}.{name} is not in the schema"
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _fields(schema["items"], child, f"{path}[]")


def _conditions(status: Mapping[str, Any]) -> Iterator[str]:
    for item in status.get("conditions", ()):
        kind, reason = item["type"], item["reason"]
        if kind not in set(ConditionType):
            yield f"condition {kind} is not declared"
        elif reason not in set(Reason) or Reason(reason) not in CONDITIONS[ConditionType(kind)].reasons:
            yield f"condition {kind} does not declare the reason {reason}"


def in_zone(child: dict[str, Any]) -> bool:
    """Whether a child is one of a zone's; the gateway's are not."""
    return LABEL_ZONE in child["metadata"]["labels"]
