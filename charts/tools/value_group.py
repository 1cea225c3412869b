"""What all groups of the chart's values share: a closed map described by docstrings, and the kinds of text in it."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

KubernetesObject: TypeAlias = dict[str, Any]
KEY: Final = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
"""A key of a label or an annotation, as the API server takes it."""
VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
"""A label's value."""


def _with_keys(value: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a map. By patternProperties, for Helm gives a wrong path where it refuses by propertyNames."""
    return {"patternProperties": {KEY: value}, "additionalProperties": False}


Labels: TypeAlias = Annotated[
    dict[str, str], Field(json_schema_extra=_with_keys({"type": "string", "pattern": VALUE, "maxLength": 63}))
]
Annotations: TypeAlias = Annotated[dict[str, str], Field(json_schema_extra=_with_keys({"type": "string"}))]
Name = Annotated[str, StringConstraints(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Namespace = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
PrometheusDuration = Annotated[str, StringConstraints(pattern=r"^(([0-9]+)(ms|s|m|h))+$")]


class Group(BaseModel):
    """A map of ours: camelCase outside, closed, described by docstrings."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True, frozen=True)
