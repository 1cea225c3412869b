"""`spec`: what the user wants."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.autoscaling import AutoscalingSpec
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.cache import CacheSpec, EmptyDirCache
from slicewise.api.v1alpha1.engine import EngineSpec
from slicewise.api.v1alpha1.fallback import FallbackSpec
from slicewise.api.v1alpha1.gateway import GatewaySpec
from slicewise.api.v1alpha1.health import HealthSpec
from slicewise.api.v1alpha1.model import ModelSpec
from slicewise.api.v1alpha1.rollout import RolloutSpec
from slicewise.api.v1alpha1.scalars import Flag, WholeNumber
from slicewise.api.v1alpha1.slices import SliceSpec
from slicewise.api.v1alpha1.zones import ZonesSpec


class PoolSpec(ApiModel):
    """What the user wants. The operator never writes it."""

    model: ModelSpec
    engine: EngineSpec = Field(default_factory=EngineSpec)
    slice: SliceSpec
    replicas: Annotated[WholeNumber, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] | None = None
    """Workers in all. Default: one per zone. Autoscalers and `kubectl scale` write it; autoscalers need a first value."""
    zones: ZonesSpec = Field(default_factory=ZonesSpec)
    cache: CacheSpec = Field(default_factory=lambda: CacheSpec(empty_dir=EmptyDirCache()))
    """Where the weights are kept: exactly one of the forms. Default: an emptyDir without a limit. A change starts no new
    revision."""
    rollout: RolloutSpec = Field(default_factory=RolloutSpec)
    autoscaling: AutoscalingSpec | None = None
    health: HealthSpec | None = None
    fallback: FallbackSpec | None = None
    gateway: GatewaySpec | None = None
    suspend: Flag = False
    """Whether the pool has no workers for now, whatever `replicas` says."""
