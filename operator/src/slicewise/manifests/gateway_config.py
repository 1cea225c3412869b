"""The ConfigMap of a pool's gateway: Envoy's files, which the agent follows. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import ANNOTATION_WAKING
from slicewise.api.v1alpha1 import InferencePool
from slicewise.envoy import GatewayConfig
from slicewise.manifests.metadata import gateway_name, object_meta


def build_gateway_config(pool: InferencePool, config: GatewayConfig, waking: str = "") -> dict[str, Any]:
    """Return the ConfigMap. It holds no secret. `waking`: how far the workers are while none serves; no part of the configuration."""
    metadata = object_meta(pool, gateway_name(pool.metadata.name), "gateway")
    if waking:
        metadata["annotations"] = {ANNOTATION_WAKING: waking}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": dict(config.files),
    }
