"""The types of conditions, and what is declared of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slicewise.api.v1alpha1.reasons import Reason


class ConditionType(StrEnum):
    """Types of conditions, in the order in which status lists them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ACCEPTED = "Accepted"
    CAPACITY_AVAILABLE = "CapacityAvailable"
    WEIGHTS_CACHED = "WeightsCached"
    WORKERS_READY = "WorkersReady"
    GATEWAY_PROGRAMMED = "GatewayProgrammed"
    ROLLOUT_PROGRESSING = "RolloutProgressing"
    SERVING_ON_GPU = "ServingOnGPU"
    FALLBACK_ACTIVE = "FallbackActive"
    JOBS_AVAILABLE = "JobsAvailable"
    AUTOSCALING_ACTIVE = "AutoscalingActive"
    BUDGET_AT_RISK = "BudgetAtRisk"
    DRAIN_BLOCKED = "DrainBlocked"
    DEGRADED = "Degraded"


@dataclass(frozen=True, slots=True)
class Condition:
    """What one type of condition says. `reasons` is the whole list that it may carry."""

    type: ConditionType
    when_true: str
    when_false: str
    when_absent: str
    set_by: str
    reasons: tuple[Reason, ...]
