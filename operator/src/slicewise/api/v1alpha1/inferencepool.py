"""The InferencePool resource as the operator reads it, but for its status (`status.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

from pydantic import Field, PrivateAttr

from slicewise.api.labels import API_VERSION, KIND
from slicewise.api.rules import Rule
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


_MODEL: Final = "self.spec.model"
_TAKEN: Final = (
    f"(a.name == (has({_MODEL}.name) ? {_MODEL}.name : self.metadata.name) || "
    f"(has({_MODEL}.aliases) && a.name in {_MODEL}.aliases))"
)


def _taken(pool: InferencePool) -> list[str]:
    names = {pool.model_name, *(pool.spec.model.aliases or ())}
    return [adapter.name for adapter in pool.spec.model.adapters or () if adapter.name in names]


ADAPTER_NAME_RULE: Final = Rule(
    cel=f"!has({_MODEL}.adapters) || {_MODEL}.adapters.all(a, !{_TAKEN})",
    holds=lambda pool: not _taken(pool),
    message="'{name}' is the name of the model too, or an alias: give the adapter another one",
    expects="adapters with names that the model does not have",
    values={"name": (f"{_MODEL}.adapters.filter(a, {_TAKEN})[0].name", lambda pool: _taken(pool)[0])},
    field="spec.model.adapters",
)


class InferencePool(ApiModel):
    """A model served from GPU slices: one worker a slice."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: Metadata
    spec: PoolSpec
    rules = (ADAPTER_NAME_RULE,)
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
