"""`spec`: what the user wants."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from slicewise.api.labels import ZONE_KEY
from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.autoscaling import AutoscalingSpec
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.cache import CacheSpec, EmptyDirCache
from slicewise.api.v1alpha1.cost import CostSpec
from slicewise.api.v1alpha1.engine import EngineSpec
from slicewise.api.v1alpha1.fallback import FallbackSpec
from slicewise.api.v1alpha1.gateway import GatewaySpec
from slicewise.api.v1alpha1.health import HealthSpec
from slicewise.api.v1alpha1.jobs import JobsSpec
from slicewise.api.v1alpha1.model import ModelSpec
from slicewise.api.v1alpha1.rollout import RolloutSpec
from slicewise.api.v1alpha1.scalars import Flag, WholeNumber
from slicewise.api.v1alpha1.slices import SliceSpec
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.api.v1alpha1.zones import ZonesSpec

_ZONE: Final = f"(has(self.zones) && has(self.zones.topologyKey) ? self.zones.topologyKey : '{ZONE_KEY}')"


def _zone_key(spec: PoolSpec) -> str:
    return spec.zones.topology_key


def _spread_keys(spec: PoolSpec) -> set[str]:
    constraints = (spec.worker.topology_spread_constraints if spec.worker else None) or ()
    return {item.topology_key for item in constraints}


def _sized(spec: PoolSpec) -> bool:
    resources = spec.worker.resources if spec.worker else None
    named = {*((resources.requests if resources else None) or {}), *((resources.limits if resources else None) or {})}
    return bool(named & {"cpu", "memory"})


def _caps(spec: PoolSpec) -> bool:
    return spec.cost is not None and spec.cost.budget is not None and spec.cost.budget.cap_replicas


class PoolSpec(ApiModel):
    """What the user wants. The operator never writes it."""

    model: ModelSpec
    engine: EngineSpec = Field(default_factory=EngineSpec)
    slice: SliceSpec
    worker: WorkerSpec | None = None
    replicas: Annotated[WholeNumber, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] | None = None
    """Workers in all. Default: one per zone. Autoscalers and `kubectl scale` write it; autoscalers need a first value.
    With `autoscaling` it is the number that a new pool begins with; 0, and what was written through the scale subresource, hold."""
    zones: ZonesSpec = Field(default_factory=ZonesSpec)
    cache: CacheSpec = Field(default_factory=lambda: CacheSpec(empty_dir=EmptyDirCache()))
    """Where the weights are kept: exactly one of the forms. Default: an emptyDir without a limit. A change starts no new
    revision."""
    rollout: RolloutSpec = Field(default_factory=RolloutSpec)
    autoscaling: AutoscalingSpec | None = None
    cost: CostSpec | None = None
    health: HealthSpec | None = None
    fallback: FallbackSpec | None = None
    gateway: GatewaySpec | None = None
    jobs: JobsSpec | None = None
    suspend: Flag = False
    """Whether the pool has no workers for now, whatever `replicas` says."""

    rules = (
        Rule(
            cel="!has(self.worker) || !has(self.worker.topologySpreadConstraints) || "
            f"self.worker.topologySpreadConstraints.all(c, c.topologyKey != {_ZONE})",
            holds=lambda spec: _zone_key(spec) not in _spread_keys(spec),
            message="'{key}' is the zones' label, and spec.zones places workers over zones: write another label",
            expects="another label than that of spec.zones.topologyKey",
            values={"key": (_ZONE, _zone_key)},
            field="worker.topologySpreadConstraints",
        ),
        Rule(
            cel="!has(self.slice.cpu) || !has(self.worker) || !has(self.worker.resources) || "
            "[has(self.worker.resources.requests) ? self.worker.resources.requests : {}, "
            "has(self.worker.resources.limits) ? self.worker.resources.limits : {}]"
            ".all(r, !('cpu' in r) && !('memory' in r))",
            holds=lambda spec: spec.slice.cpu is None or not _sized(spec),
            message="spec.slice.cpu already says cpu ({cores}) and memory: leave them out here, ephemeral-storage may stay",
            expects="ephemeral-storage only, where spec.slice.cpu says cpu and memory",
            values={"cores": ("string(self.slice.cpu.cores)", lambda spec: spec.slice.cpu.cores)},
            field="worker.resources",
        ),
        Rule(
            cel="!has(self.cost) || !has(self.cost.budget) || !self.cost.budget.capReplicas || has(self.autoscaling)",
            holds=lambda spec: spec.autoscaling is not None or not _caps(spec),
            message="capReplicas lowers spec.autoscaling.maxReplicas to what {month} pays for, and the pool has no spec.autoscaling: "
            "add it, or write false",
            expects="spec.autoscaling beside capReplicas",
            values={"month": ("string(self.cost.budget.perMonth)", lambda spec: spec.cost.budget.per_month)},
            field="cost.budget.capReplicas",
        ),
    )
