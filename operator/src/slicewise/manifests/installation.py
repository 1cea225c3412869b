"""What the installation, not the pool, decides: one value from the settings to the manifests. Pure.

`OperatorSettings.installation` makes it; a plan gets it with what is observed, and hands it on whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.container import POD_SECURITY
from slicewise.manifests.shape import plain

FETCH_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "50m", "memory": "96Mi"},
    "limits": {"memory": "256Mi"},
}
"""Of the container that fetches the weights, where the installation does not say otherwise."""
AGENT_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "50m", "memory": "48Mi"},
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
    pod_security_context: Mapping[str, Any] = field(default_factory=lambda: POD_SECURITY)
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
class Installation:
    """What the installation decides."""

    worker_image: str = "slicewise-worker:0.1.0"
    """A revision pins it when it is first rendered."""
    jobs_image: str = "slicewise-jobs:0.1.0"
    """The API of jobs, their dispatchers and migrations."""
    jobs_shape: PodPlacement = field(default_factory=PodPlacement)
    """How the pods of jobs look. `resources` are those of each program, instead of its own."""
    worker_defaults: WorkerSpec = field(default_factory=WorkerSpec)
    """How workers look where their pool does not say otherwise. `resources` are those of a worker on a GPU slice."""
    fetch_resources: Mapping[str, Any] = field(default_factory=lambda: FETCH_RESOURCES)
    pod_security_context: Mapping[str, Any] = field(default_factory=lambda: POD_SECURITY)
    """Security context of every pod; what a pool writes goes over it."""
    image_pull_secrets: tuple[str, ...] = ()
    allow_private_sources: bool = False
    """Whether `slicewise-fetch` may reach private addresses."""
    allow_cpu: bool = False
    """Whether a worker on a GPU slice may compute on the CPU."""
    counts_costs: bool = False
    """Whether the operator counts what pools cost."""
    request_log: bool = True
    """Whether workers write a line in their log for each request."""
    worker_proxy: Mapping[str, str] = field(default_factory=dict)
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY of `slicewise-fetch`, each empty if not set."""
    operator_namespace: str = "slicewise-system"
    gateway: GatewayInstallation = field(default_factory=GatewayInstallation)
