"""Volumes of a worker pod: the weight cache, what the fetcher hands to the worker, secrets, the source claim. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import weights_name


@dataclass(frozen=True, slots=True)
class SourceMount:
    """A claim that holds weights, and the field that names it first."""

    claim: str
    field: str
    volume: str
    path: str


def source_mounts(pool: InferencePool) -> tuple[SourceMount, ...]:
    """Return the claims that `pvc://claim/path` sources name, each once: no two volumes of a pod may be of the same claim."""
    found: dict[str, SourceMount] = {}
    if claim := _claim_of(pool.spec.model.source):
        found[claim] = SourceMount(claim, "spec.model.source", "source", "/source")
    for index, adapter in enumerate(pool.spec.model.adapters or ()):
        if (claim := _claim_of(adapter.source)) and claim not in found:
            volume = f"adapter-source-{index}"
            field = f"spec.model.adapters[{index}].source"
            found[claim] = SourceMount(claim, field, volume, f"/source-{index}")
    return tuple(found.values())


def _claim_of(source: str) -> str | None:
    return source.removeprefix("pvc://").split("/", 1)[0] if source.startswith("pvc://") else None


@dataclass(frozen=True, slots=True)
class CredentialsMount:
    """A Secret of the fetcher, and the field that names it."""

    secret: str
    field: str
    volume: str
    path: str


def credentials_mounts(pool: InferencePool) -> tuple[CredentialsMount, ...]:
    """Return the Secrets for the sources of the model and of each adapter."""
    model, found = pool.spec.model, []
    if model.credentials_secret_ref is not None:
        name, field = model.credentials_secret_ref.name, "spec.model.credentialsSecretRef"
        found.append(CredentialsMount(name, field, "credentials", "/etc/slicewise/credentials"))
    for index, adapter in enumerate(model.adapters or ()):
        if adapter.credentials_secret_ref is not None:
            volume, field = f"adapter-credentials-{index}", _credentials_field(index)
            found.append(
                CredentialsMount(adapter.credentials_secret_ref.name, field, volume, f"/etc/slicewise/{volume}")
            )
    return tuple(found)


def adapter_sources(pool: InferencePool) -> list[dict[str, Any]]:
    """Return the adapters as the fetcher's settings take them."""
    claims = {mount.claim: mount.path for mount in source_mounts(pool)}
    secrets = {mount.field: mount.path for mount in credentials_mounts(pool)}
    sources = []
    for index, adapter in enumerate(pool.spec.model.adapters or ()):
        item: dict[str, Any] = {"name": adapter.name, "source": adapter.source}
        if adapter.digest:
            item["digest"] = adapter.digest
        if path := secrets.get(_credentials_field(index)):
            item["credentials_dir"] = path
        if claim := _claim_of(adapter.source):
            item["claim_dir"] = claims[claim]
        sources.append(item)
    return sources


def _credentials_field(index: int) -> str:
    return f"spec.model.adapters[{index}].credentialsSecretRef"


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
    volumes += [
        {"name": mount.volume, "secret": {"secretName": mount.secret, "defaultMode": 0o440}}
        for mount in credentials_mounts(pool)
    ]
    volumes += [
        {"name": mount.volume, "persistentVolumeClaim": {"claimName": mount.claim, "readOnly": True}}
        for mount in source_mounts(pool)
    ]
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
    mounts += [_read_only(mount) for mount in source_mounts(pool)]
    if fetching and pool.spec.cache.persistent_volume_claim is not None:
        mounts.append({"name": "live", "mountPath": "/etc/slicewise/live", "readOnly": True})
    if fetching:
        mounts += [_read_only(mount) for mount in credentials_mounts(pool)]
    return mounts


def _read_only(mount: SourceMount | CredentialsMount) -> dict[str, Any]:
    return {"name": mount.volume, "mountPath": mount.path, "readOnly": True}
