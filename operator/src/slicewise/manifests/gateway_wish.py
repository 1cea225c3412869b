"""What the gateway's manifests are a function of, beside the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.gateway import GatewayConfig, GatewayModel


@dataclass(frozen=True, slots=True)
class GatewayInstallation:
    """What the installation, not the pool, decides about gateways."""

    image: str = "slicewise-gateway:0.1.0"
    """The agent and Envoy."""
    envoy_image: str = ""
    """Another image to run Envoy from; empty: `image`."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    """CPU and memory of Envoy (`requests`, `limits`)."""
    placement: Mapping[str, Any] = field(default_factory=dict)
    """`nodeSelector`, `tolerations`, `affinity` and the like, taken into the pod's spec as they are."""
    role: str = "slicewise-gateway"
    """ClusterRole that the agent gets in its pool's namespace."""
    metrics_from: tuple[Mapping[str, Any], ...] = ()
    """NetworkPolicy peers that may read metrics of gateways and workers, besides the operator."""
    api_server_ports: tuple[int, ...] = (443, 6443)
    """Ports of the API server after address translation."""
    otlp: str = ""
    """`host:port` of an OpenTelemetry collector (OTLP over gRPC); empty: no traces."""


@dataclass(frozen=True, slots=True)
class GatewayWish:
    """One pool's gateway."""

    model: GatewayModel
    config: GatewayConfig
    installation: GatewayInstallation
    operator_namespace: str
    pull_secrets: tuple[str, ...] = ()
    redis_secret: str | None = None
    """Secret with the address of the response cache's Redis; None where none is asked for, or it is known to be missing."""

    @property
    def start_version(self) -> str:
        """Name of what only a new pod can change: Envoy's bootstrap, and which Secrets the pod gets."""
        keys = self.model.tenant_keys
        parts = (self.config.bootstrap_version, keys.secret if keys else None, self.redis_secret)
        return "-".join(part or "" for part in parts).rstrip("-")
