"""What the gateway's manifests are a function of, beside the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.envoy import GatewayConfig, GatewayModel
from slicewise.manifests.container import POD_SECURITY
from slicewise.manifests.shape import plain

AGENT_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"memory": "192Mi"},
}
EDGE_RESOURCES: Final[Mapping[str, Any]] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}


@dataclass(frozen=True, slots=True)
class GatewayInstallation:
    """What the installation, not the pool, decides about gateways."""

    image: str = "slicewise-gateway:0.1.0"
    """The agent and Envoy."""
    envoy_image: str = ""
    """Another image to run Envoy from; empty: `image`."""
    shape: PodPlacement = field(default_factory=PodPlacement)
    """How gateway pods look where their pool does not say otherwise. `resources` are Envoy's."""
    agent_resources: Mapping[str, Any] = field(default_factory=lambda: AGENT_RESOURCES)
    """Of the agent, and of the container that writes the first files."""
    edge_resources: Mapping[str, Any] = field(default_factory=lambda: EDGE_RESOURCES)
    pod_security: Mapping[str, Any] = field(default_factory=lambda: POD_SECURITY)
    """Security context of every pod."""
    role: str = "slicewise-gateway"
    """ClusterRole that the agent gets in its pool's namespace."""
    metrics_from: tuple[Mapping[str, Any], ...] = ()
    """NetworkPolicy peers that may read metrics of gateways and workers, besides the operator."""
    api_server_ports: tuple[int, ...] = (443, 6443)
    """Ports of the API server after address translation."""
    api_server_cidrs: tuple[str, ...] = ()
    """Address ranges of the API server; empty: any address on these ports but a metadata service's."""
    otlp: str = ""
    """`host:port` of an OpenTelemetry collector (OTLP over gRPC); empty: no traces."""

    @property
    def envoy_resources(self) -> dict[str, Any]:
        """CPU and memory of Envoy (`requests`, `limits`)."""
        return plain(self.shape.resources) if self.shape.resources else {}


@dataclass(frozen=True, slots=True)
class GatewayWish:
    """One pool's gateway."""

    model: GatewayModel
    config: GatewayConfig
    installation: GatewayInstallation
    operator_namespace: str
    pull_secrets: tuple[str, ...] = ()
    redis_secret: str | None = None
    """Secret with the address of the Redis for the response cache; None: no cache."""

    @property
    def start_version(self) -> str:
        """Name of what only a new pod can change: Envoy's bootstrap, and which Secrets are mounted."""
        keys = None if self.model.tenant_keys is None else self.model.tenant_keys.secret
        mounted = [name for name in (keys, self.redis_secret) if name is not None]
        return "-".join([self.config.bootstrap_version, *mounted])
