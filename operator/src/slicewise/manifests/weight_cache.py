"""The cache on a claim: the claim itself where the pool gives a template, and the list of weights that must stay. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from slicewise.api.split import parts_of
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, weights_name


def build_claim(pool: InferencePool) -> dict[str, Any] | None:
    """Return the PersistentVolumeClaim, or None where the pool uses an emptyDir or an existing claim."""
    claim = pool.spec.cache.persistent_volume_claim
    if claim is None or claim.template is None:
        return None
    spec: dict[str, Any] = {
        "accessModes": list(claim.template.access_modes),
        "resources": {"requests": {"storage": claim.template.size}},
    }
    if claim.template.storage_class_name is not None:
        spec["storageClassName"] = claim.template.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": object_meta(pool, weights_name(pool.metadata.name), "weights"),
        "spec": spec,
    }


def build_live_list(pool: InferencePool, live: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the ConfigMap that names the weights of the live revisions, which the cache must not evict.

    `live`: the stored data of the live revisions. None where the cache is an emptyDir, which holds one model.
    """
    if pool.spec.cache.persistent_volume_claim is None:
        return None
    models = [data["inputs"]["model"] for data in live]
    entries = [_weights(one) for model in models for one in (model, *model.get("adapters", ()))]
    entries.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": object_meta(pool, weights_name(pool.metadata.name), "weights"),
        "data": {"live.json": json.dumps(entries, sort_keys=True)},
    }


def _weights(model: Mapping[str, Any]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {
        key: str(model[key]) for key in ("source", "digest") if model.get(key) is not None
    }
    if digests := model.get("digests"):
        found["digests"] = list(digests)
    if parts := parts_of(str(model["source"]))[1:]:
        found["parts"] = list(parts)
    return found
