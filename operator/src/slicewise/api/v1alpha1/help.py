"""What helps where a condition carries a reason: time, a person, or nothing because nothing is wrong. One entry for every reason.

`Stalled` is made from this list. kstatus, `helm --wait`, Flux and Argo CD read `Stalled=True` as failed, so only what no waiting
cures is `PERSON`; capacity is not, because other workloads release it and a cluster autoscaler adds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from slicewise.api.v1alpha1.reasons import Reason


class Help(StrEnum):
    """What brings a pool on from a reason; the value is how the reference page says it."""

    NOTHING = "not needed"
    TIME = "time"
    EITHER = "time may, a person can"
    PERSON = "a person"
    CAUSE = "see the condition it names"


_BY_HELP: Final[Mapping[Help, tuple[Reason, ...]]] = {
    Help.NOTHING: (
        Reason.ALL_WORKERS_READY,
        Reason.SCALED_TO_ZERO,
        Reason.SUSPENDED,
        Reason.DONE,
        Reason.NOT_STALLED,
        Reason.ACCEPTED,
        Reason.ACCEPTED_IN_PART,
        Reason.SLICES_FREE,
        Reason.FLOOR_ABOVE_REPLICAS,
        Reason.CACHED,
        Reason.ALL_READY,
        Reason.PROGRAMMED,
        Reason.ON_GPU,
        Reason.CPU_SLICES,
        Reason.NOT_NEEDED,
        Reason.SERVING,
        Reason.FOLLOWS_LOAD,
        Reason.AT_MAX_REPLICAS,
        Reason.LIMITED_BY_SLICES,
        Reason.LIMITED_BY_BUDGET,
        Reason.WITHIN_BUDGET,
        Reason.ADVICE_ONLY,
        Reason.RETURNING,
        Reason.NOT_BLOCKED,
        Reason.NOT_DEGRADED,
        Reason.AVAILABLE,
    ),
    Help.TIME: (
        Reason.WORKING,
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.UNKNOWN,
        Reason.PENDING,
        Reason.DOWNLOADING,
        Reason.STARTING,
        Reason.NOT_PROGRAMMED,
        Reason.PLACING,
        Reason.WARMING,
        Reason.ANALYSING,
        Reason.PROMOTING,
        Reason.ROLLING_BACK,
        Reason.FAILED_PODS_REMOVED,
    ),
    Help.EITHER: (
        # Capacity: other workloads release it, nodes come back, an autoscaler adds some.
        Reason.NOT_ENOUGH_SLICES,
        Reason.NO_NODE_WITH_PROFILE,
        Reason.QUOTA_EXCEEDED,
        Reason.UNSCHEDULABLE,
        Reason.ZONE_UNKNOWN,
        Reason.NO_FREE_SLICE,
        # Tried again and again, and often over within minutes. What is for good has `ConditionResult.helps` of its own.
        Reason.SOURCE_UNREACHABLE,
        Reason.CLAIM_PENDING,
        Reason.IMAGE_NOT_PULLABLE,
        Reason.CRASH_LOOPING,
        Reason.DEVICE_FAILED,
        Reason.NO_DATA,
        Reason.LOAD_UNKNOWN,
        Reason.SCALED_BY_ANOTHER,
        Reason.DEVICE_UNHEALTHY,
        # A month ends; a budget or a price can be changed.
        Reason.BUDGET_NEARLY_SPENT,
        Reason.BUDGET_SPENT,
        Reason.PRICE_UNKNOWN,
        # It comes back, or another server takes over.
        Reason.DATABASE_AWAY,
        Reason.DATABASE_READ_ONLY,
        # Waits on purpose, or serves meanwhile.
        Reason.PAUSED,
        Reason.UNDECIDED,
        Reason.ON_CPU,
        Reason.ON_FALLBACK,
    ),
    Help.PERSON: (
        Reason.INVALID,
        Reason.NOT_SUPPORTED_YET,
        Reason.APPLY_FAILED,
        Reason.DIGEST_MISMATCH,
        Reason.SOURCE_NOT_FOUND,
        Reason.CREDENTIALS_REJECTED,
        Reason.PRIVATE_ADDRESS,
        Reason.CACHE_FULL,
        Reason.DISK_FULL,
        Reason.SECRET_MISSING,
        Reason.CONFIG_MAP_MISSING,
        Reason.CLAIM_MISSING,
        Reason.MODEL_TOO_LARGE,
        Reason.UNSUPPORTED,
        Reason.CONTEXT_TOO_LONG,
        Reason.MICRO_BATCH_TOO_SMALL,
        Reason.CHAT_TEMPLATE_MISSING,
        Reason.CHAT_TEMPLATE_BROKEN,
        Reason.BAD_SETTINGS,
        Reason.PODS_FORBIDDEN,
        Reason.NAMESPACE_TERMINATING,
        Reason.CONFIGURATION_REFUSED,
        Reason.NO_SLICE_TO_SPARE,
        Reason.STABLE_GONE,
        Reason.ROLLED_BACK,
        Reason.DATABASE_FULL,
        Reason.ADDRESS_NOT_VALID,
        Reason.CREDENTIALS_REFUSED,
        Reason.VERSION_TOO_OLD,
        Reason.SCHEMA_OLDER,
        Reason.DURABILITY_OFF,
        Reason.PACKETS_TOO_SMALL,
    ),
    Help.CAUSE: (
        Reason.WORKERS_NOT_READY,
        Reason.GATEWAY_NOT_PROGRAMMED,
        Reason.NOT_ACCEPTED,
        Reason.INSUFFICIENT_CAPACITY,
    ),
}

HELP: Final[Mapping[Reason, Help]] = MappingProxyType(
    {reason: helps for helps, reasons in _BY_HELP.items() for reason in reasons}
)
"""Every reason → what helps."""
