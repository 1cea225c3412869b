"""What all groups of the chart's values share: a closed map described by docstrings, and the kinds of text in it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

KubernetesObject: TypeAlias = dict[str, Any]
Labels: TypeAlias = dict[str, str]
Name = Annotated[str, StringConstraints(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Namespace = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
PrometheusDuration = Annotated[str, StringConstraints(pattern=r"^(([0-9]+)(ms|s|m|h))+$")]


class Group(BaseModel):
    """A map of ours: camelCase outside, closed, described by docstrings."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True, frozen=True)
