"""`spec.fallback`: what serves when no slice does."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.model import ModelSpec


class CpuFallback(ApiModel):
    """Workers on CPU that stand by."""

    replicas: int = 1
    """Workers on CPU."""
    cores: str
    """CPU of one worker, as a quantity."""
    memory: str
    """Memory of one worker, as a quantity."""
    model: ModelSpec | None = None
    """A smaller model. Default: the pool's."""


class FallbackSpec(ApiModel):
    """What serves when no slice does. Not acted on by this version."""

    cpu: CpuFallback | None = None
