"""`spec.fallback`: what serves when no slice does."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.model import PlainModelSpec
from slicewise.api.v1alpha1.scalars import Cpu, Memory, WholeNumber


class CpuFallback(ApiModel):
    """Workers on CPU that stand by."""

    replicas: Annotated[WholeNumber, Field(ge=1, le=100)] = 1
    """Workers on CPU."""
    cores: Cpu
    """CPU of one worker, as a quantity."""
    memory: Memory
    """Memory of one worker, as a quantity."""
    model: PlainModelSpec | None = None
    """A smaller model. Default: the pool's."""


class FallbackSpec(ApiModel):
    """What serves when no slice does. Not acted on by this version."""

    cpu: CpuFallback
