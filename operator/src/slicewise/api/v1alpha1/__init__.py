"""Version v1alpha1 of the InferencePool resource: the models are the only source of the CRD and its reference page."""

from slicewise.api.v1alpha1.autoscaling import AutoscalingSpec
from slicewise.api.v1alpha1.base import LocalObjectReference
from slicewise.api.v1alpha1.cache import AccessMode, CacheSpec, ClaimCache, ClaimTemplate, EmptyDirCache
from slicewise.api.v1alpha1.condition_types import Condition, ConditionType
from slicewise.api.v1alpha1.conditions import CONDITIONS
from slicewise.api.v1alpha1.engine import EngineSpec, KVCacheType
from slicewise.api.v1alpha1.fallback import CpuFallback, FallbackSpec
from slicewise.api.v1alpha1.gateway import GatewayLimits, GatewaySpec, ResponseCache
from slicewise.api.v1alpha1.health import HealthSpec
from slicewise.api.v1alpha1.help import HELP, Help
from slicewise.api.v1alpha1.inferencepool import InferencePool, Metadata
from slicewise.api.v1alpha1.jobs import JobsSpec
from slicewise.api.v1alpha1.model import AdapterSpec, ModelSpec
from slicewise.api.v1alpha1.parse import parse_pool
from slicewise.api.v1alpha1.reasons import Reason
from slicewise.api.v1alpha1.rollout import CanarySpec, CanaryStep, GateRule, OnUndecided, RolloutSpec
from slicewise.api.v1alpha1.slices import CpuSlice, SliceSpec
from slicewise.api.v1alpha1.spec import PoolSpec
from slicewise.api.v1alpha1.zones import ZonesSpec

__all__ = [
    "CONDITIONS",
    "HELP",
    "AccessMode",
    "AdapterSpec",
    "AutoscalingSpec",
    "CacheSpec",
    "CanarySpec",
    "CanaryStep",
    "ClaimCache",
    "ClaimTemplate",
    "Condition",
    "ConditionType",
    "CpuFallback",
    "CpuSlice",
    "EmptyDirCache",
    "EngineSpec",
    "FallbackSpec",
    "GateRule",
    "GatewayLimits",
    "GatewaySpec",
    "HealthSpec",
    "Help",
    "InferencePool",
    "JobsSpec",
    "KVCacheType",
    "LocalObjectReference",
    "Metadata",
    "ModelSpec",
    "OnUndecided",
    "PoolSpec",
    "Reason",
    "ResponseCache",
    "RolloutSpec",
    "SliceSpec",
    "ZonesSpec",
    "parse_pool",
]
