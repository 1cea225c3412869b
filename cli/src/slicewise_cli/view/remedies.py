"""What would change a reason: for each that can stand in the way, what somebody can do. Pure data.

The meaning of a reason is declared with it (`slicewise.api.v1alpha1.reasons`); the condition's message has the names and the
numbers. `{name}` and `{namespace}` are those of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from slicewise.api.v1alpha1 import Reason

_UNDECIDED = (
    "more requests: the gate needs them, not time",
    "`kubectl slicewise promote {name}` or `kubectl slicewise abort {name}` decides it",
)

REMEDIES: Final[Mapping[Reason, tuple[str, ...]]] = MappingProxyType(
    {
        Reason.INVALID: ("correct the field that the message names",),
        Reason.NOT_SUPPORTED_YET: ("write the form that the message names",),
        Reason.ACCEPTED_IN_PART: ("no change is needed: the message says what does not take effect",),
        Reason.NOT_ENOUGH_SLICES: (
            "free slices or more nodes where the message says; `kubectl slicewise slices` shows who holds them",
            "a lower spec.replicas",
        ),
        Reason.NO_NODE_WITH_PROFILE: (
            "a node that offers it; `kubectl slicewise slices` shows what nodes offer",
            "another spec.slice",
        ),
        Reason.FLOOR_ABOVE_REPLICAS: ("a lower spec.zones.minAvailable, or a higher spec.replicas",),
        Reason.QUOTA_EXCEEDED: ("a higher ResourceQuota in namespace {namespace}, or a lower spec.replicas",),
        Reason.UNSCHEDULABLE: (
            "CPU and memory of the nodes, taints, claims: the scheduler's words are in the message",
        ),
        Reason.ZONE_UNKNOWN: ("nodes with the zone's label, or other spec.zones.names",),
        Reason.DOWNLOADING: ("time",),
        Reason.PENDING: ("time",),
        Reason.STARTING: ("time",),
        Reason.DIGEST_MISMATCH: ("the right spec.model.digest, or the right file at spec.model.source",),
        Reason.SOURCE_UNREACHABLE: ("the host's name, a proxy, an egress policy; it is tried again by itself",),
        Reason.SOURCE_NOT_FOUND: ("the right path in spec.model.source",),
        Reason.CREDENTIALS_REJECTED: ("the right keys in the Secret that spec.model.credentialsSecretRef names",),
        Reason.PRIVATE_ADDRESS: ("a public source, or the chart's value worker.allowPrivateSources",),
        Reason.CACHE_FULL: ("a larger limit in spec.cache",),
        Reason.DISK_FULL: ("room on the disk under the cache",),
        Reason.SECRET_MISSING: ("the Secret, in namespace {namespace}; workers start by themselves",),
        Reason.CLAIM_MISSING: ("the claim, in namespace {namespace}; workers start by themselves",),
        Reason.CLAIM_PENDING: (
            "a storage class that exists and has the claim's access mode; `kubectl describe pvc -n {namespace}` has all Events",
        ),
        Reason.MODEL_TOO_LARGE: ("the setting that the message names beside the largest part, or a larger spec.slice",),
        Reason.UNSUPPORTED: (
            "the GGUF file of one model that generates text, from a source that the reference page lists",
        ),
        Reason.CONTEXT_TOO_LONG: ("a lower spec.engine.contextTokens; the message has the most that the model takes",),
        Reason.CHAT_TEMPLATE_MISSING: ("a file with a chat template, or spec.model.chat: false for completions only",),
        Reason.CHAT_TEMPLATE_BROKEN: (
            "a model file with a chat template that works; the message says what fails",
            "spec.model.chat: false, for completions only",
        ),
        Reason.BAD_SETTINGS: ("a spec.engine.image of the operator's version, or none",),
        Reason.IMAGE_NOT_PULLABLE: ("spec.engine.image and the pull secrets",),
        Reason.CRASH_LOOPING: ("the worker's own log: `kubectl logs -n {namespace} POD -c worker --previous`",),
        Reason.PODS_FORBIDDEN: ("the namespace's policy; its words are in the message",),
        Reason.APPLY_FAILED: ("what the API server's words name; an object of that name may be somebody else's",),
        Reason.NO_SLICE_TO_SPARE: (
            "a free slice in one of the pool's zones; `kubectl slicewise slices` shows who holds them",
            "a lower spec.zones.minAvailable, so that a worker may be removed",
        ),
        Reason.PLACING: ("time",),
        Reason.WARMING: ("time; spec.rollout.progressDeadline bounds it",),
        Reason.ANALYSING: _UNDECIDED,
        Reason.PROMOTING: ("time; `kubectl slicewise abort {name}` turns it round",),
        Reason.ROLLING_BACK: ("time",),
        Reason.STABLE_GONE: (
            "another spec",
            "`kubectl slicewise promote {name}`, where workers of the new revision serve, or `kubectl slicewise retry {name}`",
        ),
        Reason.ROLLED_BACK: (
            "another spec: a better version, or `kubectl slicewise undo {name}` for the one that serves",
            "`kubectl slicewise retry {name}`, if the cause was not the version",
        ),
        Reason.ON_CPU: ("a worker image with a GPU backend, and a driver that the container sees",),
        Reason.NO_FREE_SLICE: ("a free slice in that zone, a lower spec.zones.minAvailable, or `kubectl uncordon`",),
        Reason.DEVICE_UNHEALTHY: ("time, where another slice is free",),
        Reason.FAILED_PODS_REMOVED: ("time",),
        Reason.SUSPENDED: ("spec.suspend: false",),
        Reason.SCALED_TO_ZERO: ("a higher spec.replicas",),
        Reason.UNDECIDED: _UNDECIDED,
        Reason.NO_DATA: (
            "gateway pods that answer: `kubectl get pods -n {namespace} -l slicewise.dev/pool={name}`; the message says what fails",
            "`kubectl slicewise promote {name}` or `kubectl slicewise abort {name}` decides it",
        ),
    }
)
"""Reason → what would change it. A reason that is not here needs nothing, or says it in its message."""
