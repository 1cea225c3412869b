"""What would resolve each reason of a condition. Pure data.

The meaning of a reason is declared in `slicewise.api.v1alpha1.reasons`; the condition's message has the names and numbers.
`{name}` and `{namespace}` are those of the pool.
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
_NO_ACTION = ("no manual action needed: wait",)

REMEDIES: Final[Mapping[Reason, tuple[str, ...]]] = MappingProxyType(
    {
        Reason.INVALID: ("a correct value in the field that the message names",),
        Reason.NOT_SUPPORTED_YET: ("the form that the message names",),
        Reason.ACCEPTED_IN_PART: ("no manual action needed; the message says what does not take effect",),
        Reason.NOT_ENOUGH_SLICES: (
            "free slices or more nodes where the message says; `kubectl slicewise slices` shows which pods hold them",
            "a lower spec.replicas",
        ),
        Reason.NO_NODE_WITH_PROFILE: (
            "a node that offers it; `kubectl slicewise slices` shows what each node offers",
            "another spec.slice",
        ),
        Reason.FLOOR_ABOVE_REPLICAS: ("a lower spec.zones.minAvailable, or a higher spec.replicas",),
        Reason.QUOTA_EXCEEDED: ("a higher ResourceQuota in namespace {namespace}, or a lower spec.replicas",),
        Reason.UNSCHEDULABLE: ("CPU and memory of the nodes, taints, claims: see the scheduler's message",),
        Reason.ZONE_UNKNOWN: ("nodes with the label of the zone, or other spec.zones.names",),
        Reason.DOWNLOADING: _NO_ACTION,
        Reason.PENDING: _NO_ACTION,
        Reason.STARTING: _NO_ACTION,
        Reason.DIGEST_MISMATCH: ("the right spec.model.digest, or the right file at spec.model.source",),
        Reason.SOURCE_UNREACHABLE: (
            "the right host name, a proxy, or an egress policy that allows it; Slicewise retries",
        ),
        Reason.SOURCE_NOT_FOUND: ("the right path in spec.model.source",),
        Reason.CREDENTIALS_REJECTED: (
            "the right credentials in the Secret that spec.model.credentialsSecretRef names",
        ),
        Reason.PRIVATE_ADDRESS: ("a public source, or the chart's value worker.allowPrivateSources",),
        Reason.CACHE_FULL: ("a larger limit in spec.cache",),
        Reason.DISK_FULL: ("more free space on the disk of the cache",),
        Reason.SECRET_MISSING: ("the Secret, or its key, in namespace {namespace}; pods then start without a restart",),
        Reason.CONFIG_MAP_MISSING: (
            "the ConfigMap, or its key, in namespace {namespace}; workers then start without a restart",
        ),
        Reason.CLAIM_MISSING: ("the claim, in namespace {namespace}; workers then start without a restart",),
        Reason.CLAIM_PENDING: (
            "a storage class that exists and supports the access mode of the claim; `kubectl describe pvc -n {namespace}` shows its Events",
        ),
        Reason.MODEL_TOO_LARGE: ("the setting that the message names beside the largest part, or a larger spec.slice",),
        Reason.UNSUPPORTED: (
            "one GGUF file of a model that generates text, from a source that the reference page lists",
        ),
        Reason.CONTEXT_TOO_LONG: ("a lower spec.engine.contextTokens; the message has the maximum of the model",),
        Reason.MICRO_BATCH_TOO_SMALL: (
            "no spec.engine.microBatchTokens, or as many as spec.engine.contextTokens; the message has both numbers",
            "a spec.engine.contextTokens of no more than spec.engine.microBatchTokens",
        ),
        Reason.CHAT_TEMPLATE_MISSING: (
            "a chat template in spec.model.chatTemplate, or a file with one",
            "spec.model.chat: false, for completions only",
        ),
        Reason.CHAT_TEMPLATE_BROKEN: (
            "a working chat template in spec.model.chatTemplate, or in the model file; the message says what fails",
            "spec.model.chat: false, for completions only",
        ),
        Reason.BAD_SETTINGS: ("spec.engine.image of the operator's version, or no spec.engine.image",),
        Reason.IMAGE_NOT_PULLABLE: ("the right spec.engine.image and pull secrets",),
        Reason.CRASH_LOOPING: ("the cause in the pod's log: `kubectl logs -n {namespace} POD --previous`",),
        Reason.PODS_FORBIDDEN: ("a policy of the namespace that allows the pod; the message quotes it",),
        Reason.APPLY_FAILED: (
            "the fault that the API server's message names; another owner may have an object of that name",
        ),
        Reason.NO_SLICE_TO_SPARE: (
            "a free slice in one of the pool's zones; `kubectl slicewise slices` shows which pods hold them",
            "a lower spec.zones.minAvailable, so that a worker may be removed; the only worker that serves never is",
            "`kubectl uncordon` or `kubectl drain`, where the message names a cordoned node",
        ),
        Reason.PLACING: _NO_ACTION,
        Reason.WARMING: ("no manual action needed: wait; spec.rollout.progressDeadline limits the time",),
        Reason.ANALYSING: _UNDECIDED,
        Reason.PROMOTING: ("no manual action needed: wait; `kubectl slicewise abort {name}` rolls it back",),
        Reason.ROLLING_BACK: _NO_ACTION,
        Reason.STABLE_GONE: (
            "another spec",
            "`kubectl slicewise promote {name}`, where workers of the new revision serve, or `kubectl slicewise retry {name}`",
        ),
        Reason.ROLLED_BACK: (
            "another spec: a better version, or `kubectl slicewise undo {name}` for the one that serves",
            "`kubectl slicewise retry {name}`, if the cause was not the version",
        ),
        Reason.ON_CPU: ("a worker image with a GPU backend, and a driver that is visible in the container",),
        Reason.NO_FREE_SLICE: ("a free slice in that zone, a lower spec.zones.minAvailable, or `kubectl uncordon`",),
        Reason.DEVICE_FAILED: (
            "another slice: one that is free in the zone is taken",
            "where none is: a further slice, or a reset or replacement of the GPU",
        ),
        Reason.DEVICE_UNHEALTHY: ("a free slice for a new worker",),
        Reason.FAILED_PODS_REMOVED: _NO_ACTION,
        Reason.SUSPENDED: ("spec.suspend: false",),
        Reason.SCALED_TO_ZERO: ("a higher spec.replicas",),
        Reason.ADDRESS_NOT_VALID: ("the right address under the key `url` of the Secret that the message names",),
        Reason.CREDENTIALS_REFUSED: (
            "the right user and password in the Secret that the message names, or the rights that the database denies",
        ),
        Reason.DATABASE_AWAY: ("a database that answers at the address in the Secret; jobs go on by themselves then",),
        Reason.DATABASE_FULL: ("more room for the database", "a shorter spec.jobs.keepFor"),
        Reason.DATABASE_READ_ONLY: ("an address that leads to the primary",),
        Reason.VERSION_TOO_OLD: ("MariaDB 10.6 or MySQL 8.0.1, or newer",),
        Reason.SCHEMA_OLDER: ("`kubectl rollout restart deployment -n {namespace} {name}-jobs`",),
        Reason.DURABILITY_OFF: ("the server's setting that the message names", "spec.jobs.allowLoss: true"),
        Reason.PACKETS_TOO_SMALL: (
            "a higher max_allowed_packet of the database server, or a lower spec.gateway.limits.maxBodyBytes",
        ),
        Reason.UNDECIDED: _UNDECIDED,
        Reason.NO_DATA: (
            "gateway pods that answer: `kubectl get pods -n {namespace} -l slicewise.dev/pool={name}`; the message says what fails",
            "`kubectl slicewise promote {name}` or `kubectl slicewise abort {name}` decides it",
        ),
    }
)
"""Reason → what would change it. Other reasons need no action, or their message says what to do."""

MODEL: Final = "spec.model"
OF_A_FILE: Final = frozenset(
    {
        Reason.DIGEST_MISMATCH,
        Reason.SOURCE_UNREACHABLE,
        Reason.SOURCE_NOT_FOUND,
        Reason.CREDENTIALS_REJECTED,
        Reason.PRIVATE_ADDRESS,
        Reason.UNSUPPORTED,
    }
)
"""Reasons that are about one file: of an adapter, the fields in the remedies are those of its entry in the spec."""
OF_AN_ADAPTER: Final[Mapping[Reason, tuple[str, ...]]] = MappingProxyType(
    {Reason.UNSUPPORTED: ("the GGUF file of a LoRA of this model at spec.model.source, or one adapter less",)}
)
"""Where an adapter's file needs other words."""
