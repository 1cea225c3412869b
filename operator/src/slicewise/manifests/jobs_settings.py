"""The settings of the programs of jobs, and the bounds that follow from them. Pure.

What is rendered here is read by `slicewise-jobs`; a contract test parses it with its own settings.
"""

from __future__ import annotations

from typing import Any, Final

from slicewise.api.duration import duration_seconds
from slicewise.api.ports import DISPATCH_PORT, GATEWAY_JOBS_PORT, JOBS_INTERNAL_PORT, JOBS_PORT
from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1 import InferencePool, JobsSpec
from slicewise.api.v1alpha1.gateway import GatewayLimits
from slicewise.api.v1alpha1.scalars import LARGEST_BACKLOG, LARGEST_BODY
from slicewise.manifests.container import environment
from slicewise.manifests.metadata import jobs_gateway_name, jobs_name

SETTINGS_PREFIX: Final = "SLICEWISE_JOBS_"
DATABASE: Final = "/etc/slicewise/jobs"
"""Where the Secret is mounted. A file and not a variable: rotated credentials count without new pods."""
DATABASE_SECONDS: Final = 10
"""How long a transaction may take before the database counts as away."""
DRAIN_SECONDS: Final = 25
"""How long jobs that run may go on when their dispatcher has to stop; then they go back to the queue."""
RESULT_BYTES: Final = 4 << 20
_NO_LIMITS: Final = GatewayLimits()


def body_bytes(pool: InferencePool) -> int:
    """Return the largest body of a request, in bytes: a job's is no larger."""
    limits = (pool.spec.gateway and pool.spec.gateway.limits) or _NO_LIMITS
    return min(_bytes(limits.max_body_bytes), _bytes(LARGEST_BODY))


def migrate_environment(jobs: JobsSpec) -> list[dict[str, Any]]:
    """Return the settings of `slicewise-jobs migrate`."""
    return environment({**_database(jobs), "TERMINATION_LOG": "/dev/termination-log"}, SETTINGS_PREFIX)


def api_environment(pool: InferencePool, jobs: JobsSpec) -> list[dict[str, Any]]:
    """Return the settings of `slicewise-jobs api`."""
    values = {
        **_database(jobs),
        **_shared(pool, jobs),
        "PORT": JOBS_PORT,
        "INTERNAL_PORT": JOBS_INTERNAL_PORT,
        "MODEL": pool.model_name,
        "CHAT": str(pool.spec.model.chat).lower(),
        "MAX_BACKLOG_JOBS": jobs.max_backlog_jobs,
        "MAX_BACKLOG_BYTES": min(_bytes(jobs.max_backlog_bytes), _bytes(LARGEST_BACKLOG)),
    }
    return environment(values, SETTINGS_PREFIX)


def dispatch_environment(pool: InferencePool, jobs: JobsSpec) -> list[dict[str, Any]]:
    """Return the settings of `slicewise-jobs dispatch`."""
    name, namespace = pool.metadata.name, pool.metadata.namespace
    values = {
        **_database(jobs),
        **_shared(pool, jobs),
        "GATEWAY_URL": f"http://{jobs_gateway_name(name)}.{namespace}.svc:{GATEWAY_JOBS_PORT}",
        "API_HOST": f"{jobs_name(name)}.{namespace}.svc",
        "API_PORT": JOBS_INTERNAL_PORT,
        "INTERNAL_PORT": DISPATCH_PORT,
        "SLOTS": jobs.slots,
        "REQUEST_SECONDS": _number(jobs.request_timeout),
        "MAX_RESULT_BYTES": RESULT_BYTES,
        "MAX_ATTEMPTS": jobs.max_attempts,
        "DRAIN_SECONDS": DRAIN_SECONDS,
    }
    return environment(values, SETTINGS_PREFIX)


def _database(jobs: JobsSpec) -> dict[str, object]:
    return {
        "DATABASE_URL_FILE": f"{DATABASE}/url",
        "DATABASE_CA_FILE": f"{DATABASE}/ca.crt",
        "DATABASE_TIMEOUT_SECONDS": DATABASE_SECONDS,
        "ALLOW_LOSS": "true" if jobs.allow_loss else None,
    }


def _shared(pool: InferencePool, jobs: JobsSpec) -> dict[str, object]:
    return {
        "POOL": f"{pool.metadata.namespace}/{pool.metadata.name}",
        "MAX_BODY_BYTES": body_bytes(pool),
        "KEEP_SECONDS": _number(jobs.keep_for),
    }


def _bytes(quantity: str) -> int:
    return int(Bytes.from_quantity(quantity))


def _number(duration: str) -> float:
    seconds = duration_seconds(duration)
    return int(seconds) if seconds.is_integer() else seconds
