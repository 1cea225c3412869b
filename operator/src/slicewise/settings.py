"""Settings of the operator: the only reader of the environment (prefix `SLICEWISE_`).

Lists and maps are JSON, as pydantic-settings reads them. The chart sets every one of these from its values.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from slicewise.api.labels import ZONE_KEY
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.cost.account import LOOK_SECONDS
from slicewise.manifests.container import POD_SECURITY
from slicewise.manifests.installation import (
    AGENT_RESOURCES,
    EDGE_RESOURCES,
    FETCH_RESOURCES,
    GatewayInstallation,
    Installation,
)


class WorkerProxy(BaseModel):
    """The HTTP proxy that workers fetch weights through."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="forbid")

    https: str = Field(default="", repr=False)
    http: str = Field(default="", repr=False)
    no_proxy: str = Field(default=".svc,.cluster.local", alias="noProxy")

    @property
    def environment(self) -> dict[str, str]:
        """What `slicewise-fetch` reads behind its prefix. Empty values too: what a pool's `envFrom` brings must not fill them."""
        return {"HTTPS_PROXY": self.https, "HTTP_PROXY": self.http, "NO_PROXY": self.no_proxy}


class OperatorSettings(BaseSettings):
    """What an installation decides. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="SLICEWISE_", frozen=True, extra="ignore")

    namespace: str = "slicewise-system"
    """Namespace the operator runs in; its Lease lives here."""
    pod_name: str = Field(default_factory=socket.gethostname)
    """Identity in the Lease. Must differ between replicas."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces whose pools are served. Empty: all."""

    worker_image: str = "slicewise-worker:0.1.0"
    worker_defaults: WorkerSpec = Field(default_factory=WorkerSpec)
    """How workers look where their pool does not say otherwise, as `spec.worker` says it."""
    fetch_resources: dict[str, Any] = Field(default_factory=lambda: dict(FETCH_RESOURCES))
    """CPU and memory of the container that fetches the weights."""
    pod_security_context: dict[str, Any] = Field(default_factory=lambda: dict(POD_SECURITY))
    """Security context of the pods of workers and gateways."""
    jobs_image: str = "slicewise-jobs:0.1.0"
    """Image of the API of jobs and their dispatchers, of pools with `spec.jobs`."""
    jobs_defaults: PodPlacement = Field(default_factory=PodPlacement)
    """How the pods of jobs look; `resources` are those of each program, instead of its own."""
    gateway_image: str = "slicewise-gateway:0.1.0"
    gateway_envoy_image: str = ""
    """Image to run the gateways' Envoy from; empty: the gateway's own."""
    gateway_defaults: PodPlacement = Field(default_factory=PodPlacement)
    """How gateways look where their pool does not say otherwise; `resources` are Envoy's."""
    gateway_agent_resources: dict[str, Any] = Field(default_factory=lambda: dict(AGENT_RESOURCES))
    gateway_edge_resources: dict[str, Any] = Field(default_factory=lambda: dict(EDGE_RESOURCES))
    gateway_role: str = "slicewise-gateway"
    """ClusterRole that the gateways' agents get in their namespaces."""
    gateway_otlp: str = Field(default="", pattern=r"^(.+:[0-9]{1,5})?$")
    """`host:port` of an OpenTelemetry collector for the gateways' traces."""
    metrics_from: tuple[dict[str, Any], ...] = ()
    """NetworkPolicy peers that may read the metrics of gateways and workers."""
    api_server_cidrs: tuple[str, ...] = ()
    """Address ranges of the API server for the same; empty: any."""
    api_server_ports: tuple[int, ...] = (443, 6443)
    """Ports of the API server as the gateways' NetworkPolicies have to let them out."""
    image_pull_secrets: tuple[str, ...] = ()
    allow_private_sources: bool = False
    allow_cpu: bool = False
    """Whether a worker on a GPU slice may compute on the CPU."""
    request_log: bool = True
    """Whether workers write a line in their log for each request."""
    worker_proxy: WorkerProxy = Field(default_factory=WorkerProxy)

    prices_file: str = ""
    """Path of the price list (JSON: `currency`, `slices`, `cpuCore`), read again when it changes. Empty: costs are not counted."""
    cost_look_seconds: float = Field(default=LOOK_SECONDS, gt=0, le=120)
    """Time between two looks at what pools hold and their workers did."""

    leader_election: bool = True
    """Off: this replica always acts. Only for a single operator run by hand."""
    lease_name: str = "slicewise-operator"
    lease_duration_seconds: float = Field(default=15, ge=1, le=3600)
    """A dead leader is replaced this long after its last renewal, plus one retry."""
    lease_renew_seconds: float | None = Field(default=None, gt=0)
    """Time between renewals; default: a third of the duration."""
    lease_retry_seconds: float = Field(default=1, gt=0, le=60)
    """How often a standby looks at the lease."""

    port: int = Field(default=8080, ge=0, le=65535)
    """`/metrics`, `/healthz`, `/readyz`. 0: any free port (tests)."""
    max_concurrent_passes: int = Field(default=16, ge=1, le=256)
    resync_seconds: float = Field(default=1800, gt=0)
    """Each pool is planned again from the cache after at most this long; costs no request when nothing is to do."""
    list_page_size: int = Field(default=25, ge=1, le=5000)
    """Objects in one page of a list, which bounds the memory that a list takes."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    kubeconfig: str | None = None
    """Path of a kubeconfig; default: the pod's service account, else `KUBECONFIG` or `~/.kube/config`."""
    server: str | None = None
    """Takes the place of the API server's address, so that all traffic can go through a proxy."""

    @field_validator("worker_defaults", "gateway_defaults", "jobs_defaults", mode="after")
    @classmethod
    def _no_claim_on_zones(cls, shape: PodPlacement) -> PodPlacement:
        """Whatever a pool's topology key is, the zone is the operator's."""
        if isinstance(shape, WorkerSpec) and any(
            item.topology_key == ZONE_KEY for item in shape.topology_spread_constraints or ()
        ):
            raise ValueError(f"worker.topologySpreadConstraints: {ZONE_KEY} is the zones' label; write another label")
        return shape

    @field_validator("worker_defaults", "gateway_defaults", "jobs_defaults", mode="before")
    @classmethod
    def _nothing_unknown(cls, given: Any, info: ValidationInfo) -> Any:
        """A misspelt field of an installation must not be ignored; the API server does that for a pool's."""
        if not isinstance(given, Mapping):
            return given
        model = WorkerSpec if info.field_name == "worker_defaults" else PodPlacement
        lost = _lost(given, model.model_validate(given).model_dump(mode="json", by_alias=True, exclude_none=True))
        if lost:
            raise ValueError(
                f"{', '.join(lost)}: no such field of {'spec.worker' if model is WorkerSpec else 'spec.gateway'}"
            )
        return given

    @model_validator(mode="after")
    def _renewal_leaves_room(self) -> Self:
        if self.renew_seconds > self.lease_duration_seconds / 2:
            raise ValueError(
                f"SLICEWISE_LEASE_RENEW_SECONDS={self.renew_seconds:g} leaves no second attempt within "
                f"SLICEWISE_LEASE_DURATION_SECONDS={self.lease_duration_seconds:g}: write at most half of it"
            )
        return self

    @property
    def installation(self) -> Installation:
        """What these settings decide about pools."""
        return Installation(
            worker_image=self.worker_image,
            jobs_image=self.jobs_image,
            jobs_shape=self.jobs_defaults,
            worker_defaults=self.worker_defaults,
            fetch_resources=self.fetch_resources,
            pod_security_context=self.pod_security_context,
            image_pull_secrets=self.image_pull_secrets,
            allow_private_sources=self.allow_private_sources,
            allow_cpu=self.allow_cpu,
            counts_costs=bool(self.prices_file),
            request_log=self.request_log,
            worker_proxy=self.worker_proxy.environment,
            operator_namespace=self.namespace,
            gateway=GatewayInstallation(
                image=self.gateway_image,
                envoy_image=self.gateway_envoy_image,
                shape=self.gateway_defaults,
                agent_resources=self.gateway_agent_resources,
                edge_resources=self.gateway_edge_resources,
                pod_security_context=self.pod_security_context,
                role=self.gateway_role,
                metrics_from=self.metrics_from,
                api_server_ports=self.api_server_ports,
                api_server_cidrs=self.api_server_cidrs,
                otlp=self.gateway_otlp,
            ),
        )

    @property
    def renew_seconds(self) -> float:
        """Seconds between two renewals of the lease."""
        return self.lease_renew_seconds or self.lease_duration_seconds / 3


def _lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Return the paths of what was given and is not in what was understood."""
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        return [
            found
            for key, value in given.items()
            if value is not None
            for found in ([f"{path}{key}"] if key not in kept else _lost(value, kept[key], f"{path}{key}."))
        ]
    if isinstance(given, Sequence) and isinstance(kept, Sequence) and not isinstance(given, str):
        pairs = enumerate(zip(given, kept, strict=False))
        return [found for index, (value, other) in pairs for found in _lost(value, other, f"{path}{index}.")]
    return []
