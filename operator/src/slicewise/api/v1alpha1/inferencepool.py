"""The InferencePool resource as the operator reads it, but for its status (`status.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import Field, PrivateAttr

from slicewise.api.labels import API_VERSION, KIND
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.spec import PoolSpec


class Metadata(ApiModel):
    """The part of an object's metadata that decisions look at."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


class InferencePool(ApiModel):
    """A model served from GPU slices: one worker a slice."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: Metadata
    spec: PoolSpec
    _remarks: tuple[str, ...] = PrivateAttr(default=())

    @property
    def remarks(self) -> tuple[str, ...]:
        """Values of earlier versions in the spec that can no longer be written, and what becomes of each: one sentence each."""
        return self._remarks

    def with_remarks(self, remarks: Iterable[str]) -> Self:
        """Return the pool with these remarks."""
        noted = self.model_copy()
        noted._remarks = tuple(remarks)
        return noted

    @property
    def model_name(self) -> str:
        """What clients send as `model`."""
        return self.spec.model.name or self.metadata.name
