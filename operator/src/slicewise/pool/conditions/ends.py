"""Why workers end without serving, as their termination logs say it, and whether anybody but the user can mend it. Pure.

The worker's `engine/ends.py` has the same words; a contract test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from slicewise.api.v1alpha1 import Reason
from slicewise.pool.observed import ObservedPod
from slicewise.pool.workers import DEVICE_BROKEN

USER_MENDS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "ModelCorrupt": Reason.UNSUPPORTED,
        "ModelUnsupported": Reason.UNSUPPORTED,
        "ModelUnusable": Reason.UNSUPPORTED,
        "ModelTooLarge": Reason.MODEL_TOO_LARGE,
        "ContextTooLong": Reason.CONTEXT_TOO_LONG,
        "MicroBatchTooSmall": Reason.MICRO_BATCH_TOO_SMALL,
        "ChatTemplateMissing": Reason.CHAT_TEMPLATE_MISSING,
        "ChatTemplateBroken": Reason.CHAT_TEMPLATE_BROKEN,
        "BadSettings": Reason.BAD_SETTINGS,
    }
)
"""What no restart cures: the spec, the file or the image has to change. Each makes the pool Stalled, with the worker's words."""

DEVICE_ENDS: Final = DEVICE_BROKEN | {"DeviceMissing"}
"""What the worker says when its slice is missing, lost or broken; a restart helps where the device has recovered."""

NOT_THE_USER: Final = DEVICE_ENDS | {
    "WeightsMissing",
    "DigestMismatch",
    "NoToken",
    "PortUnusable",
    "EngineFailed",
    "EngineStalled",
}
"""What a restart or a new pod may cure."""


def refused_by_worker(pods: Iterable[ObservedPod]) -> tuple[Reason, str] | None:
    """Return the reason and words of the first of `pods` that ended for what only the user can mend, None if none did.

    They are those of the last end, so they stay the same while the container waits, starts and ends again.
    """
    for pod in pods:
        reason = USER_MENDS.get(pod.ended_reason or "")
        if reason is not None and not pod.ready and not pod.terminating:
            return reason, f"{pod.name}: {pod.ended_message or pod.ended_reason}"
    return None


def failed_device(pods: Iterable[ObservedPod]) -> str | None:
    """Return the words of the first of `pods` that ended for its device and does not serve again, None if none did."""
    for pod in pods:
        if pod.ended_reason in DEVICE_ENDS and not pod.ready and not pod.terminating:
            where = f" on node {pod.node}" if pod.node else ""
            return f"{pod.name}{where}: {pod.ended_message or pod.ended_reason}"
    return None
