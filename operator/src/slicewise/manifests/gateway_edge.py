"""The edge's container in a gateway pod: it holds requests that no worker can take, and keeps answers where a pool asks for it. Pure.

What is rendered here is read by `slicewise-gateway edge`; a contract test parses it with its own settings.
"""

from __future__ import annotations

from typing import Any, Final

from slicewise.api.ports import EDGE_METRICS_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.envoy import EdgeEndpoint, ResponseCache
from slicewise.manifests.container import environment, http_probe, locked_down
from slicewise.manifests.desired_gateway import DesiredGateway

SETTINGS_PREFIX: Final = "SLICEWISE_GATEWAY_"
"""Of all settings of `slicewise-gateway`, agent and edge."""
_REDIS: Final = "/etc/slicewise/redis"


def build_edge(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    """Return the container: a sidecar, so it is there before the agent and goes after it, when Envoy is drained.

    It has no readiness of its own: Envoy looks after it, and does without it.
    """
    return {
        "name": "edge",
        "image": desired.installation.image,
        "restartPolicy": "Always",
        "args": ["slicewise-gateway", "edge"],  # not `command`: the image's init process is in front
        "env": _environment(pool, desired),
        "ports": [{"name": "edge", "containerPort": EDGE_METRICS_PORT, "protocol": "TCP"}],
        "resources": dict(desired.installation.edge_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "livenessProbe": http_probe("/healthz", EDGE_METRICS_PORT, period=10, failures=6),
        "volumeMounts": _mounts(desired),
    }


def _environment(pool: InferencePool, desired: DesiredGateway) -> list[dict[str, Any]]:
    model = desired.model
    # The ports are those of every edge, also where nothing is held or kept at the moment: that changes without new pods.
    values = {
        "POOL": pool.metadata.name,
        "NAMESPACE": pool.metadata.namespace,
        "DIRECTORY": model.directory,
        "ENVOY_ADMIN": f"http://127.0.0.1:{model.ports.admin}",
        "INTERNAL_URL": f"http://127.0.0.1:{model.ports.internal}",
        "HOLD_PORT": EdgeEndpoint().port,
        "CACHE_PORT": ResponseCache().port,
        "METRICS_PORT": EDGE_METRICS_PORT,
        "REDIS_URL_FILE": None if desired.redis_secret is None else f"{_REDIS}/url",
    }
    return environment(values, SETTINGS_PREFIX)


def _mounts(desired: DesiredGateway) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [{"name": "files", "mountPath": desired.model.directory, "readOnly": True}]
    if desired.redis_secret is not None:
        mounts.append({"name": "redis", "mountPath": _REDIS, "readOnly": True})
    return mounts
