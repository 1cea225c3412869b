"""`status`: what the operator reports. The operator reads and writes it by these models, and the CRD's schema comes from them.

The API server drops what is not declared here, silently. So the models refuse unknown fields: what is written is declared.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from slicewise.api.v1alpha1.base import map_by
from slicewise.api.v1alpha1.lenient import understand
from slicewise.api.v1alpha1.status_base import Amount, Count, Percent, Sentence, Short, StatusModel, Time
from slicewise.api.v1alpha1.status_cost import CostStatus
from slicewise.api.v1alpha1.status_needs import NeedsStatus


class ConditionStatus(StatusModel):
    """One condition, as Kubernetes shapes them."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """The generation of the spec that it is about."""
    last_transition_time: Time
    """When `status` last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    message: Sentence


class ZoneStatus(StatusModel):
    """The workers of one zone."""

    name: Annotated[str, Field(max_length=63)]
    """Value of the zone label; empty for nodes without one."""
    desired: int = 0
    ready: int = 0
    """Of the desired workers, those that serve."""
    floor: int = 0
    """Ready workers below which nothing of the operator's own goes."""


class SliceStatus(StatusModel):
    """The slice that each worker takes."""

    resource: Annotated[str, Field(max_length=317)] | None = None
    """Extended resource, or `cpu`."""
    memory: Annotated[str, Field(max_length=32)] | None = None
    """Memory of one slice, as the nodes' labels say."""
    needed: Annotated[str, Field(max_length=32)] | None = None
    """Memory that the pool asks for."""


class EngineStatus(StatusModel):
    """What workers chose where `spec.engine` says `Auto`: the least of those that serve."""

    context_tokens: Count | None = None
    parallel_sequences: Count | None = None


class RevisionsStatus(StatusModel):
    """Revisions that have workers."""

    stable: Annotated[str, Field(max_length=63)] | None = None
    canary: Annotated[str, Field(max_length=63)] | None = None
    wanted: Annotated[str, Field(max_length=63)] | None = None
    """The revision that the spec asks for; absent where it is the stable one."""


class CountsStatus(StatusModel):
    """Requests of a revision: those of latency since the step began, all others since the attempt began."""

    requests: int | None = None
    """Given to the revision, and neither refused nor left."""
    failed: int | None = None
    timed: int | None = None
    """Of which it is known whether they were slow."""
    slow: int | None = None
    """Of these, the ones over `p95`, whether they have ended or not."""
    refused: int | None = None
    """Answered by a worker with a 4xx. Compared with the other revision's only."""
    left: int | None = None
    """Left by the client before `p95`."""
    settled: int | None = None
    """Of `requests`, those that began longer ago than `p95`, and jobs that have ended: a pass rests on them."""
    settled_here: int | None = None
    """The same since the step began, without jobs."""


class EvidenceStatus(StatusModel):
    """Evidence against "within the limit" (above), "`tolerance` times the limit" (below), "no worse", "refuses no more" and "is left no
    more than stable"; 1 says nothing.
    """

    slow_above: float | None = None
    failed_above: float | None = None
    slow_below: float | None = None
    failed_below: float | None = None
    worse_than_stable: float | None = None
    refused_more: float | None = None
    left_more: float | None = None


class LimitsStatus(StatusModel):
    """The limits of the canary."""

    p95: Short | None = None
    max_errors: Short | None = None
    confidence: Short | None = None
    tolerance: float | None = None
    min_samples: int | None = None


class VerdictStatus(StatusModel):
    """The gate's verdict on the canary, and its basis."""

    verdict: Short | None = None
    """Pass, Fail, Undecided or NoData."""
    cause: Short | None = None
    """`errors`, `latency` or `refusals` with Fail, `left` with Undecided, `unreadable` with NoData."""
    message: Sentence | None = None
    outlook: Sentence | None = None
    """What the gate can tell at this traffic."""
    canary: CountsStatus | None = None
    stable: CountsStatus | None = None
    evidence: EvidenceStatus | None = None
    comparison: Annotated[str, Field(max_length=1024)] | None = None
    """The running comparisons with stable, in logarithms, so that a new leader goes on."""
    pending: Count | None = None
    """Running requests of the canary that are over `p95`; their outcome is not known."""
    limits: LimitsStatus | None = None
    requests_per_second: Amount | None = None
    """Of both revisions together."""
    needed_requests: int | None = None
    """About how many more a good canary needs to pass."""
    remaining_seconds: int | None = None
    watched_seconds: Amount | None = None
    """How long the canary has been watched in this step."""
    window_from: Amount | None = None
    """When the current window began, in seconds of `watchedSeconds`."""
    reads: Count | None = None
    """Reads of the counters that are in these numbers."""
    since: Time | None = None
    at: Time | None = None
    """When these numbers were written."""


class RolloutStatus(StatusModel):
    """The state of the rollout."""

    phase: Annotated[str, Field(max_length=63)] | None = None
    """Idle, Placing, Warming, Analysing, Promoting, RollingBack or RolledBack."""
    stable_served: bool | None = None
    """Whether a worker of the stable revision has ever served. One that never did is replaced at once by what the spec asks for."""
    stable_down_since: Time | None = None
    """Since when no worker of a stable revision that has served is ready; absent while one is."""
    step: Count | None = None
    """Which of the canary's steps, counted from 0."""
    steps: Count | None = None
    weight: Percent | None = None
    """Per cent of the requests that the new revision gets now."""
    step_weight: Percent | None = None
    """Per cent of the requests that its step gives it: it gets 0 while none of its workers is ready, and all while no other is."""
    target: Annotated[str, Field(max_length=63)] | None = None
    """The revision that takes over, or was given up."""
    zone: Annotated[str, Field(max_length=63)] | None = None
    """Zone of the first worker of the new revision."""
    surge: bool | None = None
    """Whether that worker is on a slice that was free."""
    started_at: Time | None = None
    phase_since: Time | None = None
    step_since: Time | None = None
    unplaced_since: Time | None = None
    """Since when a worker fits no node although a slice is free."""
    paused: bool | None = None
    held: bool | None = None
    """Whether the canary was undecided at the deadline, and waits for more traffic or for `kubectl slicewise promote` or `abort`."""
    abort_reason: Annotated[str, Field(max_length=1024)] | None = None
    message: Sentence | None = None
    request: Sentence | None = None
    """What is wrong with the annotation `slicewise.dev/rollout-request`; absent if nothing is."""
    verdict: VerdictStatus | None = None


class AutoscalingStatus(StatusModel):
    """What scaling by load asks for."""

    desired: Count | None = None
    """Workers. With `mode: Advise`, or where another autoscaler writes `spec.replicas`, what would be asked for."""
    cold_start_seconds: Count | None = None
    """From a worker's place on a node until it serves: the median of the workers that there are."""


class FallbackStatus(StatusModel):
    """The state of the CPU fallback. Absent where the spec has none."""

    active: bool | None = None
    """Whether it is asked for because no slice serves."""
    switched_at: Time | None = None
    """When `active` last changed."""
    turning_since: Time | None = None
    """Since when slices serve while it is active, or none while it is not; absent while nothing speaks for a change."""


class PoolStatus(StatusModel):
    """What the operator reports."""

    @classmethod
    def read(cls, stored: object) -> Self:
        """Return what is understood of `stored`, the pool's `.status`; what is missing or not understood is None."""
        return understand(cls, stored)

    def write(self) -> dict[str, Any]:
        """Return `.status` as the API server stores it: absent fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    observed_generation: Annotated[int, Field(json_schema_extra={"format": "int64"})] | None = None
    """The generation of the spec that the rest is about; -1 before the first reconcile."""
    conditions: (
        Annotated[
            tuple[ConditionStatus, ...],
            Field(max_length=32, json_schema_extra=map_by("type")),
        ]
        | None
    ) = None
    """Conditions of the pool."""
    model: Annotated[str, Field(max_length=253)] | None = None
    """What clients send as `model`: the name of the stable revision."""
    wanted_model: Annotated[str, Field(max_length=253)] | None = None
    """The name that the spec asks for; absent where it is the one that serves."""
    endpoint: Annotated[str, Field(max_length=1024)] | None = None
    """URL for clients."""
    desired: int | None = None
    """Workers that the pool should have."""
    replicas: Annotated[int, Field(json_schema_extra={"format": "int32"})] | None = None
    """Workers that exist."""
    ready_replicas: int | None = None
    """Desired workers that serve. Those beyond `desired` during a rollout are not counted."""
    selector: Annotated[str, Field(max_length=1024)] | None = None
    """Label selector of the workers, for the scale subresource."""
    zones: (
        Annotated[
            tuple[ZoneStatus, ...],
            Field(max_length=256, json_schema_extra=map_by("name")),
        ]
        | None
    ) = None
    slice: SliceStatus | None = None
    engine: EngineStatus | None = None
    needs: NeedsStatus | None = None
    autoscaling: AutoscalingStatus | None = None
    cost: CostStatus | None = None
    revisions: RevisionsStatus | None = None
    rollout: RolloutStatus | None = None
    fallback: FallbackStatus | None = None
