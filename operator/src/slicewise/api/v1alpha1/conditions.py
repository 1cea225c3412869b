"""The conditions of an InferencePool, each declared once: when it is True, False, absent, and who sets it.

`pool/conditions/summary.py` makes them; the reference page prints them; a test compares both with this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from slicewise.api.v1alpha1.condition_types import Condition, ConditionType
from slicewise.api.v1alpha1.help import HELP, Help
from slicewise.api.v1alpha1.reasons import Reason

_NEVER_SEEN: Final = "the operator has not looked at the pool yet"
_STALLED_TOO: Final = (Reason.CLAIM_PENDING, Reason.IMAGE_NOT_PULLABLE)
"""Reasons that time often helps with, and not where the words of the cluster say otherwise."""

_DECLARED: Final = (
    Condition(
        ConditionType.READY,
        when_true="the pool is as the spec asks for: every desired worker serves, its gateway is programmed, and no rollout is "
        "under way (also with no workers desired)",
        when_false="it is not there yet; the reason says what is missing, and workers that are ready serve meanwhile",
        when_absent=_NEVER_SEEN,
        set_by="pool/conditions/summary.py, as a summary of the others; read by kstatus, Helm --wait, Flux and Argo CD",
        reasons=(
            Reason.ALL_WORKERS_READY,
            Reason.WORKERS_NOT_READY,
            Reason.GATEWAY_NOT_PROGRAMMED,
            Reason.SCALED_TO_ZERO,
            Reason.SUSPENDED,
            Reason.NOT_ACCEPTED,
            Reason.INSUFFICIENT_CAPACITY,
            Reason.ROLLOUT_IN_PROGRESS,
            Reason.ROLLED_BACK,
            Reason.APPLY_FAILED,
        ),
    ),
    Condition(
        ConditionType.RECONCILING,
        when_true="the operator is at work towards the spec, and time alone may bring it there",
        when_false="nothing is under way",
        when_absent=_NEVER_SEEN,
        set_by="pool/conditions/summary.py; read by kstatus as in progress",
        reasons=(
            Reason.WORKING,
            Reason.ROLLOUT_IN_PROGRESS,
            Reason.INSUFFICIENT_CAPACITY,
            Reason.DONE,
        ),
    ),
    Condition(
        ConditionType.STALLED,
        when_true="a person has to change the spec or the cluster, else the pool does not become ready, or, once it is, takes no jobs",
        when_false="time alone may bring the pool on, or it is ready; the message names conditions that a person can help with",
        when_absent=_NEVER_SEEN,
        set_by="pool/conditions/summary.py, from what helps with each reason; read by kstatus as failed",
        reasons=(*(reason for reason in Reason if HELP[reason] is Help.PERSON), *_STALLED_TOO, Reason.NOT_STALLED),
    ),
    Condition(
        ConditionType.ACCEPTED,
        when_true="the spec is valid and acted on; AcceptedInPart names the fields that are not",
        when_false="the spec is not acted on, and no child is touched",
        when_absent=_NEVER_SEEN,
        set_by="pool/conditions/accepted.py, after parse_pool",
        reasons=(Reason.ACCEPTED, Reason.ACCEPTED_IN_PART, Reason.INVALID, Reason.NOT_SUPPORTED_YET),
    ),
    Condition(
        ConditionType.CAPACITY_AVAILABLE,
        when_true="every desired worker holds a slice, or one is free for it",
        when_false="slices are missing; the message says how many, in which zone and of which profile (Unknown where slices "
        "could not be counted)",
        when_absent="the spec is not accepted, or was never looked at",
        set_by="pool/slices.py and pool/zones.py through pool/conditions/summary.py",
        reasons=(
            Reason.SLICES_FREE,
            Reason.NOT_ENOUGH_SLICES,
            Reason.NO_NODE_WITH_PROFILE,
            Reason.MODEL_TOO_LARGE,
            Reason.FLOOR_ABOVE_REPLICAS,
            Reason.QUOTA_EXCEEDED,
            Reason.UNSCHEDULABLE,
            Reason.ZONE_UNKNOWN,
            Reason.UNKNOWN,
        ),
    ),
    Condition(
        ConditionType.WEIGHTS_CACHED,
        when_true="the weights of the revision that the spec asks for are in the cache, digest verified",
        when_false="they are not, or cannot be served as the spec asks; the reason says whether waiting helps or a person has to",
        when_absent="no worker is to run, or the spec is not accepted",
        set_by="pool/conditions/summary.py, from what slicewise-fetch reports in the workers' pods",
        reasons=(
            Reason.CACHED,
            Reason.PENDING,
            Reason.DOWNLOADING,
            Reason.DIGEST_MISMATCH,
            Reason.SOURCE_UNREACHABLE,
            Reason.SOURCE_NOT_FOUND,
            Reason.CREDENTIALS_REJECTED,
            Reason.PRIVATE_ADDRESS,
            Reason.CACHE_FULL,
            Reason.DISK_FULL,
            Reason.SECRET_MISSING,
            Reason.CONFIG_MAP_MISSING,
            Reason.CLAIM_MISSING,
            Reason.CLAIM_PENDING,
            Reason.MODEL_TOO_LARGE,
            Reason.CONTEXT_TOO_LONG,
            Reason.MICRO_BATCH_TOO_SMALL,
            Reason.CHAT_TEMPLATE_MISSING,
            Reason.CHAT_TEMPLATE_BROKEN,
            Reason.UNSUPPORTED,
        ),
    ),
    Condition(
        ConditionType.WORKERS_READY,
        when_true="all desired workers serve",
        when_false="fewer serve; the reason names the most telling cause among the rest",
        when_absent="the spec is not accepted, or was never looked at",
        set_by="pool/conditions/summary.py, from the workers' pods and what the API server refused",
        reasons=(
            Reason.ALL_READY,
            Reason.SCALED_TO_ZERO,
            Reason.SUSPENDED,
            Reason.PENDING,
            Reason.STARTING,
            Reason.NOT_ENOUGH_SLICES,
            Reason.UNSCHEDULABLE,
            Reason.CLAIM_PENDING,
            Reason.IMAGE_NOT_PULLABLE,
            Reason.DEVICE_FAILED,
            Reason.CRASH_LOOPING,
            Reason.BAD_SETTINGS,
            Reason.PODS_FORBIDDEN,
            Reason.QUOTA_EXCEEDED,
            Reason.NAMESPACE_TERMINATING,
            Reason.APPLY_FAILED,
        ),
    ),
    Condition(
        ConditionType.GATEWAY_PROGRAMMED,
        when_true="as many gateway pods are ready as the spec asks for, and the Envoy of each runs the configuration that the pool "
        "asks for (while a rollout moves: one of this pool)",
        when_false="a gateway pod is missing, or runs another configuration, or refuses every request because the keys are missing; those "
        "that are ready serve meanwhile (Unknown where a gateway pod does not say what it runs)",
        when_absent="the spec is not accepted, or was never looked at",
        set_by="pool/conditions/gateway.py, from the gateway's pods and their agents' /v1/gateway",
        reasons=(
            Reason.PROGRAMMED,
            Reason.NOT_PROGRAMMED,
            Reason.STARTING,
            Reason.CONFIGURATION_REFUSED,
            Reason.SECRET_MISSING,
            Reason.UNSCHEDULABLE,
            Reason.IMAGE_NOT_PULLABLE,
            Reason.CRASH_LOOPING,
            Reason.PODS_FORBIDDEN,
            Reason.QUOTA_EXCEEDED,
            Reason.APPLY_FAILED,
            Reason.UNKNOWN,
        ),
    ),
    Condition(
        ConditionType.ROLLOUT_PROGRESSING,
        when_true="a new revision is taking over, or one is being taken back",
        when_false="the change waits, or was given up; the reason says which",
        when_absent="no revision is changing, or the spec is not accepted",
        set_by="pool/rollout/machine.py through pool/conditions/summary.py",
        reasons=(
            Reason.PLACING,
            Reason.WARMING,
            Reason.ANALYSING,
            Reason.PROMOTING,
            Reason.ROLLING_BACK,
            Reason.NO_SLICE_TO_SPARE,
            Reason.PAUSED,
            Reason.UNDECIDED,
            Reason.NO_DATA,
            Reason.STABLE_GONE,
            Reason.ROLLED_BACK,
        ),
    ),
    Condition(
        ConditionType.SERVING_ON_GPU,
        when_true="every serving worker says that it computes on the GPU",
        when_false="one computes on the CPU although the pool asks for GPU slices, or the pool asks for CPU slices, or no slice "
        "serves and the CPU fallback does",
        when_absent="no worker serves, nor the fallback",
        set_by="pool/conditions/gpu.py, from the workers' /v1/worker",
        reasons=(Reason.ON_GPU, Reason.ON_CPU, Reason.ON_FALLBACK, Reason.CPU_SLICES, Reason.UNKNOWN),
    ),
    Condition(
        ConditionType.FALLBACK_ACTIVE,
        when_true="no slice has served for 15 s, so the fallback is asked for, until slices have served for a minute; the reason says "
        "whether it serves",
        when_false="slices serve, or none has served for less than 15 s, or the pool has no workers on purpose",
        when_absent="the spec has no fallback, or is not accepted, or no node offers what a first revision asks for",
        set_by="pool/fallback.py through pool/conditions/fallback.py",
        reasons=(Reason.NOT_NEEDED, Reason.PENDING, Reason.STARTING, Reason.SERVING, Reason.RETURNING),
    ),
    Condition(
        ConditionType.JOBS_AVAILABLE,
        when_true="an API accepts jobs and a dispatcher runs them; the message says what is wrong with others",
        when_false="jobs are not accepted, or not run; other requests are served all the same (Unknown where the programs do not answer)",
        when_absent="the spec has no jobs, or is not accepted",
        set_by="pool/conditions/jobs.py, from what the programs say on /v1/standing and their migrations when they fail",
        reasons=(
            Reason.AVAILABLE,
            Reason.STARTING,
            Reason.SECRET_MISSING,
            Reason.ADDRESS_NOT_VALID,
            Reason.CREDENTIALS_REFUSED,
            Reason.DATABASE_AWAY,
            Reason.DATABASE_FULL,
            Reason.DATABASE_READ_ONLY,
            Reason.VERSION_TOO_OLD,
            Reason.SCHEMA_OLDER,
            Reason.DURABILITY_OFF,
            Reason.PACKETS_TOO_SMALL,
            Reason.IMAGE_NOT_PULLABLE,
            Reason.CRASH_LOOPING,
            Reason.UNSCHEDULABLE,
            Reason.QUOTA_EXCEEDED,
            Reason.PODS_FORBIDDEN,
            Reason.APPLY_FAILED,
            Reason.UNKNOWN,
        ),
    ),
    Condition(
        ConditionType.AUTOSCALING_ACTIVE,
        when_true="the number of workers follows the load; the reason says what limits it",
        when_false="it does not: the load is not known, the mode is Advise, or `spec.replicas` was written by another",
        when_absent="the spec has no autoscaling, or is not accepted",
        set_by="pool/scaling.py through pool/conditions/summary.py, from the requests that gateway and workers count",
        reasons=(
            Reason.FOLLOWS_LOAD,
            Reason.AT_MAX_REPLICAS,
            Reason.LIMITED_BY_SLICES,
            Reason.LIMITED_BY_BUDGET,
            Reason.LOAD_UNKNOWN,
            Reason.ADVICE_ONLY,
            Reason.SCALED_BY_ANOTHER,
            Reason.SCALED_TO_ZERO,
            Reason.SUSPENDED,
        ),
    ),
    Condition(
        ConditionType.BUDGET_AT_RISK,
        when_true="the part of the month's budget that `warnAt` names is spent, or all of it",
        when_false="less is spent (Unknown where a price is not known, or costs are not counted)",
        when_absent="the spec has no `cost.budget`, or is not accepted",
        set_by="pool/cost.py through pool/conditions/budget.py, from what the operator counts of the pool's cost",
        reasons=(
            Reason.WITHIN_BUDGET,
            Reason.BUDGET_NEARLY_SPENT,
            Reason.BUDGET_SPENT,
            Reason.PRICE_UNKNOWN,
        ),
    ),
    Condition(
        ConditionType.DRAIN_BLOCKED,
        when_true="a node is being drained and a worker on it cannot move; the message says what would help",
        when_false="no drain waits for the pool",
        when_absent="the spec is not accepted, or was never looked at",
        set_by="pool/disruption.py through pool/conditions/summary.py",
        reasons=(Reason.NO_FREE_SLICE, Reason.NOT_BLOCKED),
    ),
    Condition(
        ConditionType.DEGRADED,
        when_true="something went wrong that the pool survived; the reason says what",
        when_false="nothing did, or it is over",
        when_absent="the spec is not accepted, or was never looked at",
        set_by="pool/conditions/summary.py",
        reasons=(Reason.FAILED_PODS_REMOVED, Reason.DEVICE_UNHEALTHY, Reason.ROLLED_BACK, Reason.NOT_DEGRADED),
    ),
)

CONDITIONS: Final[Mapping[ConditionType, Condition]] = MappingProxyType({entry.type: entry for entry in _DECLARED})
"""Every condition by its type."""
