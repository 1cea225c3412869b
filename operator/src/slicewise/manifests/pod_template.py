"""The pod template of a revision: fetch the weights, then serve. Stored with the revision, so it is rendered once. Pure.

What is rendered here is read by `slicewise-fetch` and `slicewise-worker`; a contract test parses it with their own settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise.api.labels import common_labels
from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.container import environment, from_field, http_probe, locked_down
from slicewise.manifests.metadata import revision_labels, worker_account_name
from slicewise.manifests.pod_volumes import pod_volumes, weights_path_mounts

WORKER_PORT: Final = 8080
FETCH_PORT: Final = 9091
WORKER_UID: Final = 65532
DRAIN_DELAY_SECONDS: Final = 10
"""How long a worker goes on taking requests after SIGTERM, while load balancers learn of it."""
MAX_ANSWER_SECONDS: Final = 90
"""Longest answer that a worker finishes before it ends."""
STARTUP_SECONDS: Final = 1800
"""How long loading may take before the kubelet starts the worker again."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What the installation, not the pool, decides about workers."""

    image: str
    pull_secrets: tuple[str, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    """CPU and memory of a worker on a GPU slice (`requests`, `limits`)."""
    allow_private_sources: bool = False
    proxy: Mapping[str, str] = field(default_factory=dict)
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY for `slicewise-fetch`."""


def build_pod_template(
    pool: InferencePool, revision: str, resource: str | None, installation: Installation
) -> dict[str, Any]:
    """Return the pod template of `revision`, without anything that belongs to one zone.

    `resource`: extended resource of which each worker takes one; None for CPU slices.
    """
    image = pool.spec.engine.image or installation.image
    spec: dict[str, Any] = {
        "serviceAccountName": worker_account_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": MAX_ANSWER_SECONDS + DRAIN_DELAY_SECONDS + 20,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": WORKER_UID,
            "runAsGroup": WORKER_UID,
            "fsGroup": WORKER_UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": _tolerations(),
        "initContainers": [_fetch_container(pool, image, installation)],
        "containers": [_worker_container(pool, revision, image, resource, installation)],
        "volumes": pod_volumes(pool),
    }
    if installation.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in installation.pull_secrets]
    labels = {**common_labels(pool.metadata.name, "worker"), **revision_labels(revision)}
    return {"metadata": {"labels": labels}, "spec": spec}


def _tolerations() -> list[dict[str, Any]]:
    """GPU nodes are commonly tainted; a lost node gives up its workers after 30 s instead of 300."""
    return [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    ]


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
            "CACHE_DIR": "/weights",
            "CACHE_SIZE_LIMIT": None if limit is None else int(Bytes.from_quantity(limit)),
            "RESULT_FILE": "/run/slicewise/weights.json",
            "LIVE_FILE": "/etc/slicewise/live/live.json" if claim is not None else None,
            "CREDENTIALS_DIR": "/etc/slicewise/credentials" if model.credentials_secret_ref else None,
            "POOL": f"{pool.metadata.namespace}/{pool.metadata.name}",
            "ALLOW_PRIVATE": str(installation.allow_private_sources).lower(),
            "PORT": FETCH_PORT,
        },
        "SLICEWISE_FETCH_",
    )
    env += [{"name": name, "value": value} for name, value in sorted(installation.proxy.items())]
    return {
        "name": "fetch",
        "image": image,
        "args": ["slicewise-fetch"],  # not `command`: see _worker_container
        "env": env,
        "ports": [{"name": "fetch", "containerPort": FETCH_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
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
            "POOL": f"{pool.metadata.namespace}/{pool.metadata.name}",
            "REVISION": revision,
            "WEIGHTS_FILE": "/run/slicewise/weights.json",
            "PORT": WORKER_PORT,
            "CONTEXT_TOKENS": engine.context_tokens,
            "PARALLEL_SEQUENCES": engine.parallel_sequences,
            "KV_CACHE_TYPE": engine.kv_cache_type.value,
            "PROMPT_CHUNK_TOKENS": engine.prompt_chunk_tokens,
            "MAX_QUEUE": engine.max_queue,
            "DEVICE": "cpu" if resource is None else "gpu",
            "MAX_ANSWER_SECONDS": MAX_ANSWER_SECONDS,
            "DRAIN_DELAY_SECONDS": DRAIN_DELAY_SECONDS,
        },
        "SLICEWISE_WORKER_",
    )
    env.append(from_field("SLICEWISE_WORKER_ZONE", "metadata.labels['slicewise.dev/zone']"))
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


def worker_resources(pool: InferencePool, resource: str | None, installation: Installation) -> dict[str, Any]:
    """Return the resources of the worker container: exactly one slice, or the CPU and memory that a CPU slice names."""
    if resource is None:
        cpu = pool.spec.slice.cpu
        amount = {} if cpu is None else {"cpu": cpu.cores, "memory": cpu.memory}
        return {"requests": dict(amount), "limits": dict(amount)}
    given = installation.resources
    return {
        "requests": {**given.get("requests", {}), resource: "1"},
        "limits": {**given.get("limits", {}), resource: "1"},
    }
