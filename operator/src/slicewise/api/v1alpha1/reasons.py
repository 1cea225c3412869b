"""The fixed list of reasons that conditions carry. Programs may match on them; messages are for people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is as it is: the word on the wire, and one sentence of what it means."""

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Reason:
        """Make the member `word`, with its sentence beside it. (The default is for `Reason(word)`, which looks one up.)"""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    # Ready, Reconciling, Stalled
    ALL_WORKERS_READY = "AllWorkersReady", "Every desired worker serves."
    WORKERS_NOT_READY = "WorkersNotReady", "Some workers do not serve yet; WorkersReady and WeightsCached say why."
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "The pool has no workers because `spec.replicas` is 0, or because it scales by load and no request came.",
    )
    SUSPENDED = "Suspended", "The pool has no workers because `spec.suspend` is true."
    GATEWAY_NOT_PROGRAMMED = (
        "GatewayNotProgrammed",
        "The gateway, which clients reach the workers through, is not ready; GatewayProgrammed says why.",
    )
    NOT_ACCEPTED = "NotAccepted", "The spec is not acted on; Accepted says why."
    INSUFFICIENT_CAPACITY = "InsufficientCapacity", "Slices are missing; CapacityAvailable says how many and where."
    ROLLOUT_IN_PROGRESS = "RolloutInProgress", "A new revision is taking over; RolloutProgressing says how far it is."
    WORKING = "Working", "The operator is bringing the pool to what the spec asks for."
    DONE = "Done", "The pool is as the spec asks for; nothing is under way."
    NOT_STALLED = "NotStalled", "Nothing needs a change of the spec or of the cluster to go on."
    APPLY_FAILED = "ApplyFailed", "The API server refused an object of the pool; the message has its words."

    # Accepted
    ACCEPTED = "Accepted", "The whole spec is valid and acted on."
    ACCEPTED_IN_PART = (
        "AcceptedInPart",
        "The spec is acted on, but for what the message names.",
    )
    INVALID = "Invalid", "The spec breaks a rule; workers that serve stay as they are."
    NOT_SUPPORTED_YET = "NotSupportedYet", "This version cannot act on a form that the spec uses; write another."

    # CapacityAvailable
    SLICES_FREE = "SlicesFree", "Every worker has a slice, or one is free for it."
    NOT_ENOUGH_SLICES = (
        "NotEnoughSlices",
        "Fewer slices are free than workers wait; the message counts them by zone.",
    )
    NO_NODE_WITH_PROFILE = "NoNodeWithProfile", "No node offers the slice that `spec.slice` names."
    FLOOR_ABOVE_REPLICAS = (
        "FloorAboveReplicas",
        "`spec.zones.minAvailable` in each zone comes to more than `spec.replicas`; the floor holds.",
    )
    QUOTA_EXCEEDED = "QuotaExceeded", "The namespace's quota has no room for the pool's pods."
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler finds no node for a pod although no slice is missing; see the message.",
    )
    ZONE_UNKNOWN = "ZoneUnknown", "A zone in `spec.zones.names` has no node, or nodes carry no zone label."
    UNKNOWN = "Unknown", "What this condition needs could not be read; nothing was changed on that account."

    # WeightsCached
    CACHED = "Cached", "The weights are in the cache and their digest is right."
    PENDING = "Pending", "No worker has started to fetch the weights yet."
    DOWNLOADING = "Downloading", "The weights are being downloaded; the message says how far."
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "The file of the model or of an adapter is not the one that `digest` names; it is never loaded.",
    )
    SOURCE_UNREACHABLE = "SourceUnreachable", "The host of the source does not answer; the message names it."
    SOURCE_NOT_FOUND = "SourceNotFound", "The host answers and has no such file."
    CREDENTIALS_REJECTED = "CredentialsRejected", "The host refuses the credentials, or asks for some."
    PRIVATE_ADDRESS = "PrivateAddress", "The source is on a private address, which this installation does not allow."
    CACHE_FULL = "CacheFull", "The weights do not fit into the cache's limit beside those in use."
    DISK_FULL = "DiskFull", "The disk under the cache has no room."
    SECRET_MISSING = (
        "SecretMissing",
        "A Secret that the spec names does not exist or lacks a key; the message names it.",
    )
    CONFIG_MAP_MISSING = (
        "ConfigMapMissing",
        "A ConfigMap that the spec names does not exist or lacks a key; the message names it.",
    )
    CLAIM_MISSING = "ClaimMissing", "The claim that the spec names does not exist."
    CLAIM_PENDING = "ClaimPending", "The claim has no volume yet."
    MODEL_TOO_LARGE = (
        "ModelTooLarge",
        "Weights, KV cache and buffers need more memory than the worker has, or any slice on offer; the message has the parts.",
    )
    UNSUPPORTED = (
        "Unsupported",
        "This form of source cannot be fetched, or the file is not one model that generates text, as GGUF.",
    )
    CONTEXT_TOO_LONG = "ContextTooLong", "`spec.engine.contextTokens` is more than the model was trained for."
    MICRO_BATCH_TOO_SMALL = (
        "MicroBatchTooSmall",
        "`spec.engine.microBatchTokens` is less than `contextTokens`, and an embedding model or reranker reads a text as a whole.",
    )
    CHAT_TEMPLATE_MISSING = (
        "ChatTemplateMissing",
        "Neither the model file nor `spec.model.chatTemplate` has a chat template, and `spec.model.chat` is not false.",
    )
    CHAT_TEMPLATE_BROKEN = "ChatTemplateBroken", "The model's chat template cannot render a plain conversation."

    # WorkersReady
    ALL_READY = "AllReady", "Every worker is ready."
    STARTING = "Starting", "Pods are starting."
    IMAGE_NOT_PULLABLE = "ImageNotPullable", "A node cannot pull a pod's image."
    BAD_SETTINGS = "BadSettings", "The worker image does not understand the settings of this version."
    CRASH_LOOPING = "CrashLooping", "A pod's program ends again and again; the message has its last words."
    DEVICE_FAILED = (
        "DeviceFailed",
        "A worker has ended because its GPU slice is lost, broken or not usable with its image; the message has the next step.",
    )
    PODS_FORBIDDEN = "PodsForbidden", "The namespace's policy does not let the pool's pods in."
    NAMESPACE_TERMINATING = "NamespaceTerminating", "The namespace is being deleted, so nothing new can start in it."

    # GatewayProgrammed
    PROGRAMMED = "Programmed", "Every gateway pod is ready and its Envoy runs the pool's configuration."
    NOT_PROGRAMMED = "NotProgrammed", "A gateway pod has not taken in the pool's newest configuration yet."
    CONFIGURATION_REFUSED = (
        "ConfigurationRefused",
        "Envoy refused its configuration and goes on with the one before; its log says why.",
    )

    # RolloutProgressing
    PLACING = "Placing", "A slice for the new revision's first worker is being found."
    WARMING = "Warming", "The new revision's first worker loads its weights."
    ANALYSING = "Analysing", "The new revision is judged."
    PROMOTING = "Promoting", "The old workers are replaced one by one."
    NO_SLICE_TO_SPARE = (
        "NoSliceToSpare",
        "No slice is free and no worker can be spared, so the rollout waits.",
    )
    PAUSED = "Paused", "`spec.rollout.paused`, or a request, holds the rollout."
    UNDECIDED = (
        "Undecided",
        "The canary was undecided at its deadline and waits for more requests, or for a request to promote or abort.",
    )
    NO_DATA = "NoData", "The gateway's counters cannot be read, so the canary cannot pass; the message says why."
    STABLE_GONE = (
        "StableGone",
        "Workers of the stable revision do not get ready, so the rollout cannot go back to it.",
    )
    ROLLING_BACK = "RollingBack", "The new revision's workers are replaced by those of the old one."

    # ServingOnGPU
    ON_GPU = "OnGPU", "Every serving worker computes on its GPU slice."
    ON_FALLBACK = "OnFallback", "No worker on a slice serves, and those of the CPU fallback do."
    ON_CPU = "OnCPU", "A worker holds a GPU slice and computes on the CPU."
    CPU_SLICES = "CPUSlices", "The pool asks for CPU slices, so no worker is meant to be on a GPU."

    # FallbackActive
    NOT_NEEDED = "NotNeeded", "Slices serve, or the pool has no workers on purpose."
    SERVING = "Serving", "The fallback serves because no slice does."
    RETURNING = "Returning", "Slices serve again; the fallback ends once they have done so for a minute."

    # JobsAvailable
    AVAILABLE = "Available", "Jobs are accepted, kept and run."
    DATABASE_AWAY = (
        "DatabaseAway",
        "The database of jobs does not answer; what was accepted is in it, and goes on once it is back.",
    )
    DATABASE_FULL = "DatabaseFull", "The database of jobs has no room."
    DATABASE_READ_ONLY = "DatabaseReadOnly", "The database of jobs takes no writes, as a replica does."
    ADDRESS_NOT_VALID = "AddressNotValid", "The address of the database in the Secret cannot be used."
    CREDENTIALS_REFUSED = (
        "CredentialsRefused",
        "The database refuses the user or the password, or has no such database.",
    )
    VERSION_TOO_OLD = "VersionTooOld", "The database server is older than jobs need."
    SCHEMA_OLDER = "SchemaOlder", "The tables of jobs are missing, or older than the programs."
    DURABILITY_OFF = (
        "DurabilityOff",
        "The database server may lose accepted jobs in a crash; the message names its setting.",
    )
    PACKETS_TOO_SMALL = (
        "PacketsTooSmall",
        "`max_allowed_packet` of the database server is less than the largest job needs.",
    )

    # AutoscalingActive
    FOLLOWS_LOAD = "FollowsLoad", "The number of workers follows the requests that run or wait."
    AT_MAX_REPLICAS = "AtMaxReplicas", "The load asks for more workers than `spec.autoscaling.maxReplicas`."
    LIMITED_BY_SLICES = "LimitedBySlices", "The load asks for more workers than there are slices."
    LIMITED_BY_BUDGET = (
        "LimitedByBudget",
        "The load asks for more workers than the rest of the month's budget pays for (`spec.cost.budget`).",
    )
    LOAD_UNKNOWN = (
        "LoadUnknown",
        "The requests cannot be counted, or not all of them, so no worker is removed; the message says why.",
    )
    ADVICE_ONLY = "AdviceOnly", "`spec.autoscaling.mode` is `Advise`: the number is shown, and `spec.replicas` holds."
    SCALED_BY_ANOTHER = (
        "ScaledByAnother",
        "Another autoscaler, or a person, wrote `spec.replicas` through the scale subresource, and that holds.",
    )

    # BudgetAtRisk
    WITHIN_BUDGET = "WithinBudget", "Less than `spec.cost.budget.warnAt` of the month's budget is spent."
    BUDGET_NEARLY_SPENT = "BudgetNearlySpent", "`spec.cost.budget.warnAt` of the month's budget is spent, or more."
    BUDGET_SPENT = "BudgetSpent", "The month's budget is spent, or more; the pool goes on serving."
    PRICE_UNKNOWN = (
        "PriceUnknown",
        "What the pool holds has no price, or costs are not counted at all, so the budget cannot be watched.",
    )

    # DrainBlocked
    NO_FREE_SLICE = "NoFreeSlice", "A node is being drained and its worker has no free slice to move to in its zone."
    NOT_BLOCKED = "NotBlocked", "No drain waits for the pool."

    # Degraded
    FAILED_PODS_REMOVED = "FailedPodsRemoved", "Failed pods were removed; their replacements are not ready yet."
    DEVICE_UNHEALTHY = (
        "DeviceUnhealthy",
        "The device under a worker is reported unhealthy: the worker is being replaced, or still answers and waits for a slice.",
    )
    ROLLED_BACK = (
        "RolledBack",
        "The latest revision was taken back; nothing happens until the spec changes or a retry is requested.",
    )
    NOT_DEGRADED = "NotDegraded", "Nothing is worse than the spec asks for."
