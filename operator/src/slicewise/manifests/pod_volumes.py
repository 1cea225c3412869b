"""Volumes of a worker pod: the weight cache, what the fetcher hands to the worker, secrets, the source claim. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import weights_name


def source_claim(pool: InferencePool) -> str | None:
    """Return the claim that a `pvc://claim/path` source names; None for other sources."""
    source = pool.spec.model.source
    return source.removeprefix("pvc://").split("/", 1)[0] if source.startswith("pvc://") else None


def cache_claim(pool: InferencePool) -> str | None:
    """Return the name of the claim that caches the weights: the user's, or ours; None for an emptyDir."""
    claim = pool.spec.cache.persistent_volume_claim
    return None if claim is None else claim.claim_name or weights_name(pool.metadata.name)


def pod_volumes(pool: InferencePool) -> list[dict[str, Any]]:
    """Return the volumes of a worker pod."""
    volumes = [_cache_volume(pool), {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}}]
    volumes.append({"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}})
    if pool.spec.cache.persistent_volume_claim is not None:
        live = {"name": weights_name(pool.metadata.name), "optional": True}
        volumes.append({"name": "live", "configMap": live})
    reference = pool.spec.model.credentials_secret_ref
    if reference is not None:
        volumes.append({"name": "credentials", "secret": {"secretName": reference.name, "defaultMode": 0o440}})
    claim = source_claim(pool)
    if claim is not None:
        volumes.append({"name": "source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return volumes


def _cache_volume(pool: InferencePool) -> dict[str, Any]:
    claim = cache_claim(pool)
    if claim is not None:
        return {"name": "weights", "persistentVolumeClaim": {"claimName": claim}}
    empty_dir = pool.spec.cache.empty_dir
    limit = {"sizeLimit": empty_dir.size_limit} if empty_dir and empty_dir.size_limit else {}
    return {"name": "weights", "emptyDir": limit}


def weights_path_mounts(pool: InferencePool, *, fetching: bool) -> list[dict[str, Any]]:
    """Return the mounts of the fetcher (`fetching`) or of the worker, which may only read the weights."""
    read_only = {} if fetching else {"readOnly": True}
    mounts: list[dict[str, Any]] = [
        {"name": "weights", "mountPath": "/weights", **read_only},
        {"name": "run", "mountPath": "/run/slicewise", **read_only},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
    ]
    if source_claim(pool) is not None:
        mounts.append({"name": "source", "mountPath": "/source", "readOnly": True})
    if fetching and pool.spec.cache.persistent_volume_claim is not None:
        mounts.append({"name": "live", "mountPath": "/etc/slicewise/live", "readOnly": True})
    if fetching and pool.spec.model.credentials_secret_ref is not None:
        mounts.append({"name": "credentials", "mountPath": "/etc/slicewise/credentials", "readOnly": True})
    return mounts
