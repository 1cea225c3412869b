"""The ConfigMap of a pool's gateway: Envoy's files, which the agent follows. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.envoy import GatewayConfig
from slicewise.manifests.metadata import gateway_name, object_meta


def build_gateway_config(pool: InferencePool, config: GatewayConfig) -> dict[str, Any]:
    """Return the ConfigMap. It holds no secret."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": object_meta(pool, gateway_name(pool.metadata.name), "gateway"),
        "data": dict(config.files),
    }
