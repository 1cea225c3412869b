"""The pod template of a revision: fetch the weights, then serve. Stored with the revision, so it is rendered once. Pure.

What is rendered here is read by `slicewise-fetch` and `slicewise-worker`; a contract test parses it with their own settings.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from slicewise.api.duration import duration_seconds
from slicewise.api.labels import common_labels, worker_selector
from slicewise.api.ports import FETCH_PORT, WORKER_PORT
from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.engine import DEFAULT_CHUNK, DEFAULT_CONTEXT
from slicewise.api.v1alpha1.health import HealthSpec
from slicewise.api.v1alpha1.scalars import AUTO, LARGEST_BODY, LONGEST_REQUEST
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.container import environment, from_field, http_probe, locked_down, pod_security
from slicewise.manifests.installation import Installation
from slicewise.manifests.metadata import revision_labels, worker_account_name
from slicewise.manifests.pod_volumes import adapter_sources, pod_volumes, weights_path_mounts
from slicewise.manifests.settings_names import FETCH_PREFIX, WORKER_PREFIX, unset
from slicewise.manifests.shape import merge, placed, plain, spread_over

DRAIN_DELAY_SECONDS: Final = 10
"""How long a worker goes on taking requests after SIGTERM, while load balancers learn of it."""
MAX_ANSWER_SECONDS: Final = int(duration_seconds(LONGEST_REQUEST))
"""How long a request may take whatever it says: the most that `spec.gateway.limits.requestTimeout` may be. What a request may take
itself comes with it (header `x-slicewise-timeout-ms`), so that another limit starts no new revision. A worker that is asked to
terminate ends with its last request; the grace period only has to be longer than any."""
LAST_SECONDS: Final = 30
"""After the last request's time is over: a worker tells its clients and ends within 20 seconds, by force if it has to."""
STARTUP_SECONDS: Final = 1800
"""How long loading may take before the kubelet starts the worker again."""


PROXY_NAMES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


def build_pod_template(
    pool: InferencePool, revision: str, resource: str | None, installation: Installation
) -> dict[str, Any]:
    """Return the pod template of `revision`, without anything that belongs to one zone.

    `resource`: extended resource of which each worker takes one; None for CPU slices.
    """
    image = pool.spec.engine.image or installation.worker_image
    shape = merge(installation.worker_defaults, pool.spec.worker)
    spec: dict[str, Any] = {
        "serviceAccountName": shape.service_account_name or worker_account_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": MAX_ANSWER_SECONDS + DRAIN_DELAY_SECONDS + LAST_SECONDS,
        "securityContext": pod_security(installation.pod_security_context, shape.pod_security_context),
        **placed(shape),
        **_chosen(shape),
        "initContainers": [_fetch_container(pool, image, installation)],
        "containers": [_worker_container(pool, revision, image, resource, installation)],
        "volumes": [*pod_volumes(pool), *map(plain, shape.volumes or ())],
    }
    for container in (*spec["initContainers"], *spec["containers"]):
        _shape_container(container, shape)
    if shape.topology_spread_constraints:
        spec["topologySpreadConstraints"] = spread_over(
            shape.topology_spread_constraints, worker_selector(pool.metadata.name)
        )
    secrets = dict.fromkeys([*installation.image_pull_secrets, *(item.name for item in shape.image_pull_secrets or ())])
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    labels = {**(shape.labels or {}), **common_labels(pool.metadata.name, "worker"), **revision_labels(revision)}
    annotations = {"annotations": dict(shape.annotations)} if shape.annotations else {}
    return {"metadata": {"labels": labels, **annotations}, "spec": spec}


def _chosen(shape: WorkerSpec) -> dict[str, Any]:
    """Fields of the pod that are taken over as they are; unset ones are left out."""
    fields = {
        "runtimeClassName": shape.runtime_class_name,
        "schedulerName": shape.scheduler_name,
        "priorityClassName": shape.priority_class_name,
        "terminationGracePeriodSeconds": shape.termination_grace_period_seconds,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _shape_container(container: dict[str, Any], shape: WorkerSpec) -> None:
    """Add what the pool or the installation says about both containers. None of ours: their names are refused."""
    chosen = [plain(item) for item in shape.env or ()]
    if shape.env_from:
        # An object can hold variables of any name. Only here: another rendering of other pools would be of no use.
        prefix = FETCH_PREFIX if container["name"] == "fetch" else WORKER_PREFIX
        container["env"] += unset(prefix, container["env"])
        container["envFrom"] = [plain(item) for item in shape.env_from]
    container["env"] = [*chosen, *container["env"]]
    container["volumeMounts"] += [{**plain(item), "readOnly": True} for item in shape.volume_mounts or ()]
    if shape.container_security_context is not None:
        container["securityContext"] = {**container["securityContext"], **plain(shape.container_security_context)}


def _fetch_container(pool: InferencePool, image: str, installation: Installation) -> dict[str, Any]:
    model, cache = pool.spec.model, pool.spec.cache
    claim = cache.persistent_volume_claim
    limit = (
        cache.empty_dir.size_limit if cache.empty_dir else (claim.template.size if claim and claim.template else None)
    )
    env = environment(
        {
            "SOURCE": model.source,
            "DIGEST": model.digest,
            "DIGESTS": json.dumps(list(model.digests)) if model.digests else None,
            "CACHE_DIR": "/weights",
            "CACHE_SIZE_LIMIT": None if limit is None else int(Bytes.from_quantity(limit)),
            "RESULT_FILE": "/run/slicewise/weights.json",
            "LIVE_FILE": "/etc/slicewise/live/live.json" if claim is not None else None,
            "CREDENTIALS_DIR": "/etc/slicewise/credentials" if model.credentials_secret_ref else None,
            "ADAPTERS": json.dumps(adapter_sources(pool)) if model.adapters else None,
            "POOL": f"{pool.metadata.namespace}/{pool.metadata.name}",
            "ALLOW_PRIVATE": str(installation.allow_private_sources).lower(),
            "PORT": FETCH_PORT,
        },
        FETCH_PREFIX,
    )
    # Also where it is empty: an explicit variable wins over what a pool's `envFrom` brings.
    proxy = {name: installation.worker_proxy.get(name, "") for name in PROXY_NAMES}
    env += [{"name": f"{FETCH_PREFIX}{name}", "value": value} for name, value in proxy.items()]
    return {
        "name": "fetch",
        "image": image,
        "args": ["slicewise-fetch"],  # not `command`: see _worker_container
        "env": env,
        "ports": [{"name": "fetch", "containerPort": FETCH_PORT, "protocol": "TCP"}],
        "resources": dict(installation.fetch_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": weights_path_mounts(pool, fetching=True),
    }


def _worker_container(
    pool: InferencePool, revision: str, image: str, resource: str | None, installation: Installation
) -> dict[str, Any]:
    engine = pool.spec.engine
    env = environment(
        {
            "MODEL_NAME": pool.model_name,
            "MODEL_ALIASES": json.dumps(list(pool.spec.model.aliases)) if pool.spec.model.aliases else None,
            "CHAT": None if pool.spec.model.chat else "false",
            "CHAT_TEMPLATE": pool.spec.model.chat_template,
            "POOL": f"{pool.metadata.namespace}/{pool.metadata.name}",
            "REVISION": revision,
            "WEIGHTS_FILE": "/run/slicewise/weights.json",
            "PORT": WORKER_PORT,
            # The defaults of both are left to the worker, which takes less context where the model has less, and the chunk that fits.
            "CONTEXT_TOKENS": None if engine.context_tokens in (AUTO, DEFAULT_CONTEXT) else engine.context_tokens,
            "PARALLEL_SEQUENCES": None if engine.parallel_sequences == AUTO else engine.parallel_sequences,
            "AUTO_CONTEXT": "true" if engine.context_tokens == AUTO else None,
            "AUTO_SEQUENCES": "true" if engine.parallel_sequences == AUTO else None,
            "KV_CACHE_TYPE": engine.kv_cache_type.value,
            "PROMPT_CHUNK_TOKENS": None if engine.prompt_chunk_tokens == DEFAULT_CHUNK else engine.prompt_chunk_tokens,
            "MAX_TOKEN_GAP_SECONDS": None if engine.max_token_gap is None else duration_seconds(engine.max_token_gap),
            "MICRO_BATCH_TOKENS": engine.micro_batch_tokens,
            "FLASH_ATTENTION": engine.flash_attention,
            "THREADS": engine.threads,
            "MAX_QUEUE": engine.max_queue,
            "DEVICE": "cpu" if resource is None else "gpu",
            "ALLOW_CPU": "true" if installation.allow_cpu and resource is not None else None,
            "REQUEST_LOG": None if installation.request_log else "false",
            "MAX_ANSWER_SECONDS": MAX_ANSWER_SECONDS,
            "MAX_BODY_BYTES": int(Bytes.from_quantity(LARGEST_BODY)),
            "DRAIN_DELAY_SECONDS": DRAIN_DELAY_SECONDS,
            **_health(pool.spec.health or HealthSpec()),
            **_gate(pool),
        },
        WORKER_PREFIX,
    )
    env.append(from_field(f"{WORKER_PREFIX}ZONE", "metadata.labels['slicewise.dev/zone']"))
    return {
        "name": "worker",
        "image": image,
        # Behind the image's init process. A program that is process 1 itself loses a SIGTERM that comes before its handler is
        # there, and a pod deleted while it starts would hold its slice for the whole grace period.
        "args": ["slicewise-worker"],
        "env": env,
        "ports": [{"name": "http", "containerPort": WORKER_PORT, "protocol": "TCP"}],
        "resources": worker_resources(pool, resource, installation),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": http_probe("/startupz", "http", period=2, failures=STARTUP_SECONDS // 2),
        "readinessProbe": http_probe("/readyz", "http", period=2, failures=1),
        "livenessProbe": http_probe("/livez", "http", period=10, failures=3),
        "volumeMounts": weights_path_mounts(pool, fetching=False),
    }


def _health(health: HealthSpec) -> dict[str, object]:
    return {
        "MEMORY_PRESSURE": float(Decimal(health.memory_pressure.removesuffix("%")) / 100),
        "MEMORY_PRESSURE_SECONDS": duration_seconds(health.memory_pressure_for),
        "WATCHDOG_SECONDS": duration_seconds(health.watchdog_period),
        "STALL_AFTER_SECONDS": duration_seconds(health.stall_after),
    }


def _gate(pool: InferencePool) -> dict[str, object]:
    """Return the gate's limit as it is when the revision is rendered.

    It is no part of what makes a revision: a change of the limit alone restarts no worker, and its metrics get the boundary with the
    next revision. The gate judges by what the gateway measures, not by these metrics.
    """
    canary = pool.spec.rollout.canary
    return {} if canary is None or canary.p95 is None else {"P95_SECONDS": duration_seconds(canary.p95)}


def worker_resources(pool: InferencePool, resource: str | None, installation: Installation) -> dict[str, Any]:
    """Return the resources of the worker container: exactly one slice, or the CPU and memory that a CPU slice names."""
    shape = merge(installation.worker_defaults, pool.spec.worker)
    given = plain(shape.resources) if shape.resources else {}
    sides = {side: dict(given.get(side, {})) for side in ("requests", "limits")}
    if resource is not None:
        return {side: {**amounts, resource: "1"} for side, amounts in sides.items()}
    cpu = pool.spec.slice.cpu
    amount = {} if cpu is None else {"cpu": cpu.cores, "memory": cpu.memory}
    scratch = {
        side: {k: v for k, v in amounts.items() if k not in {"cpu", "memory"}} for side, amounts in sides.items()
    }
    return {side: {**amounts, **amount} for side, amounts in scratch.items()}
