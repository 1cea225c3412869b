"""Names of all settings of the programs in a worker's pod, behind their prefixes. Pure.

A contract test holds them together with the programs' own classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

FETCH_PREFIX: Final = "SLICEWISE_FETCH_"
WORKER_PREFIX: Final = "SLICEWISE_WORKER_"

SETTINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        FETCH_PREFIX: (
            "SOURCE",
            "DIGEST",
            "DIGESTS",
            "CACHE_DIR",
            "CACHE_SIZE_LIMIT",
            "RESULT_FILE",
            "LIVE_FILE",
            "ALLOW_PRIVATE",
            "PORT",
            "CREDENTIALS_DIR",
            "CLAIM_DIR",
            "TERMINATION_LOG",
            "ADAPTERS",
            "POOL",
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "NO_PROXY",
            "PATIENCE_SECONDS",
            "MAX_BACKOFF_SECONDS",
            "STALL_SECONDS",
            "CHECKPOINT_BYTES",
            "DIGEST_ATTEMPTS",
            "LOG_SECONDS",
        ),
        WORKER_PREFIX: (
            "MODEL_NAME",
            "MODEL_ALIASES",
            "CHAT",
            "CHAT_TEMPLATE",
            "POOL",
            "REVISION",
            "ZONE",
            "WEIGHTS_FILE",
            "DEVICE",
            "ALLOW_CPU",
            "THREADS",
            "FLASH_ATTENTION",
            "MICRO_BATCH_TOKENS",
            "CONTEXT_TOKENS",
            "PARALLEL_SEQUENCES",
            "AUTO_CONTEXT",
            "AUTO_SEQUENCES",
            "KV_CACHE_TYPE",
            "PROMPT_CHUNK_TOKENS",
            "MAX_TOKEN_GAP_SECONDS",
            "MAX_QUEUE",
            "DEFAULT_ANSWER_SECONDS",
            "MAX_ANSWER_SECONDS",
            "MAX_BODY_BYTES",
            "BODY_MEMORY_BYTES",
            "PROMPT_MEMORY_BYTES",
            "HOST",
            "PORT",
            "DRAIN_DELAY_SECONDS",
            "STALL_AFTER_SECONDS",
            "MEMORY_PRESSURE",
            "MEMORY_PRESSURE_SECONDS",
            "WATCHDOG_SECONDS",
            "P95_SECONDS",
            "TERMINATION_LOG",
            "LOG_LEVEL",
            "LOG_FORMAT",
            "REQUEST_LOG",
        ),
    }
)


def unset(prefix: str, env: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings that `env` leaves out, as empty variables: the program takes its default, whatever a pool's `envFrom` brings."""
    there = {item["name"] for item in env}
    names = [f"{prefix}{name}" for name in SETTINGS[prefix]]
    return [{"name": name, "value": ""} for name in names if name not in there]
