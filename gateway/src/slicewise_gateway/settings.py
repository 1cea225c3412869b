"""The gateway's settings: environment variables with the prefix `SLICEWISE_GATEWAY_`, set by the operator's pod template.

The only module that reads the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class GatewaySettings(BaseSettings):
    """What one gateway pod follows, and where its Envoy is."""

    model_config = SettingsConfigDict(env_prefix="SLICEWISE_GATEWAY_", env_ignore_empty=True)

    pool: Annotated[str, Field(min_length=1)]
    namespace: Annotated[str, Field(min_length=1)]
    pod_name: str = ""
    """This pod's own name."""
    config_map: Annotated[str, Field(min_length=1)]
    """ConfigMap with Envoy's files."""
    endpoints_selector: Annotated[str, Field(min_length=1)]
    """Label selector of the pool's EndpointSlices."""

    mounted: Path = Path("/etc/slicewise/gateway")
    """Where the ConfigMap is mounted, for `seed`."""
    keys: Path | None = None
    """Where the Secret with the tenants' keys is mounted; None: the pool asked for no key when this pod was made."""
    directory: Path = Path("/run/slicewise/envoy")
    """Where Envoy reads its files."""
    envoy_admin: str = "http://127.0.0.1:9901"
    host: str = ""
    """Empty: every address of the pod, IPv4 and IPv6."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9092

    api_server: str | None = None
    """Base URL. Default: from what the kubelet sets."""
    api_host: Annotated[str | None, Field(validation_alias=AliasChoices("KUBERNETES_SERVICE_HOST"))] = None
    api_port: Annotated[int, Field(validation_alias=AliasChoices("KUBERNETES_SERVICE_PORT"))] = 443
    token_file: Path = _ACCOUNT / "token"
    ca_file: Path = _ACCOUNT / "ca.crt"

    successor_seconds: Annotated[float, Field(ge=0)] = 60
    """How long a gateway that has to stop waits for another one to serve."""
    drain_delay_seconds: Annotated[float, Field(ge=0)] = 10
    """How long it goes on accepting connections after that, if clients still open any."""
    drain_seconds: Annotated[float, Field(ge=0)] = 95
    """How long running requests may take after that."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @property
    def server(self) -> str:
        """The API server's base URL; raises ValueError where nothing names it."""
        if self.api_server:
            return self.api_server.rstrip("/")
        if not self.api_host:
            raise ValueError("no API server: neither SLICEWISE_GATEWAY_API_SERVER nor KUBERNETES_SERVICE_HOST is set")
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"https://{host}:{self.api_port}"


class EdgeSettings(BaseSettings):
    """What the edge of one gateway pod may hold, and where its Envoy and its Redis are."""

    model_config = SettingsConfigDict(env_prefix="SLICEWISE_GATEWAY_", env_ignore_empty=True)

    pool: Annotated[str, Field(min_length=1)]
    namespace: Annotated[str, Field(min_length=1)]
    directory: Path = Path("/run/slicewise/envoy")
    """Where Envoy reads its files, and the edge the weights of the revisions."""
    envoy_admin: str = "http://127.0.0.1:9901"
    internal_url: str = "http://127.0.0.1:8083"
    """Envoy's listener for what the edge sends on."""
    hold_port: Annotated[int, Field(ge=1, le=65535)] = 8081
    cache_port: Annotated[int, Field(ge=1, le=65535)] = 8082
    """Opened only where there may be a Redis."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9093
    """On every address of the pod; the other two on the loopback address only."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 64 << 20
    """A last bound: Envoy keeps the pool's own, and keeps it first."""

    max_cached_request_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    """Bodies in memory at a time, of requests that the response cache looks at; the next ones wait, unread."""

    hold_seconds: Annotated[float, Field(ge=0)] = 60
    """How long a request waits for a worker; less where the operator says so beside the weights."""
    max_held_requests: Annotated[int, Field(ge=0)] = 256
    max_held_bytes: Annotated[int, Field(ge=0)] = 64 << 20

    redis_url_file: Path | None = None
    """File of a mounted Secret with `redis://`, `rediss://` or `unix://`; it may come later. None: no response cache."""
    redis_timeout_seconds: Annotated[float, Field(gt=0)] = 0.05
    """How long a request waits for Redis."""
    max_entry_bytes: Annotated[int, Field(ge=1)] = 4 << 20
    """The largest answer that is stored."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
