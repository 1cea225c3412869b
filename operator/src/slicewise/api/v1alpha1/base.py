"""What all models of the API have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A frozen part of the resource: snake_case here, camelCase on the wire.

    Unknown fields are ignored: the API server has pruned them, and a newer schema may know more than this code.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        # Warnings are errors, and a field named after a part of the model (`model`, `schema`) is no mistake here.
        protected_namespaces=(),
    )


class LocalObjectReference(ApiModel):
    """Names an object in the pool's own namespace."""

    name: str
