"""The gateway's settings: environment variables with the prefix `SLICEWISE_GATEWAY_`, set by the operator's pod template.

The only module that reads the environment.
"""
# ruff: noqa: RUF009 - `setting` makes the field of a dataclass

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from slicewise_gateway.environment import one_of, read_settings, seconds, setting, whole

_LEVELS = one_of("debug", "info", "warning", "error")
_FORMATS = one_of("json", "text")
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class _Settings:
    @classmethod
    def read(cls) -> Self:
        """Return the settings that the environment gives. Raises SettingsError."""
        return read_settings(cls, os.environ)


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(_Settings):
    """What one gateway pod follows, and where its Envoy is."""

    pool: str = setting(str)
    namespace: str = setting(str)
    pod_name: str = setting(str, "")
    """This pod's own name."""
    config_map: str = setting(str)
    """ConfigMap with Envoy's files."""
    endpoints_selector: str = setting(str)
    """Label selector of the pool's EndpointSlices."""

    mounted: Path = setting(Path, Path("/etc/slicewise/gateway"))
    """Where the ConfigMap is mounted, for `seed`."""
    keys: Path | None = setting(Path, None)
    """Where the Secret with the tenants' keys is mounted; None: the pool asked for no key when this pod was made."""
    directory: Path = setting(Path, Path("/run/slicewise/envoy"))
    """Where Envoy reads its files."""
    envoy_admin: str = setting(str, "http://127.0.0.1:9901")
    host: str = setting(str, "")
    """Empty: every address of the pod, IPv4 and IPv6."""
    port: int = setting(whole(0, 65535), 9092)

    api_server: str | None = setting(str, None)
    """Base URL. Default: from what the kubelet sets."""
    api_host: str | None = setting(str, None, variable="KUBERNETES_SERVICE_HOST")
    api_port: int = setting(whole(1, 65535), 443, variable="KUBERNETES_SERVICE_PORT")
    token_file: Path = setting(Path, _ACCOUNT / "token")
    ca_file: Path = setting(Path, _ACCOUNT / "ca.crt")

    successor_seconds: float = setting(seconds(), 60)
    """How long a gateway that has to stop waits for another one to serve."""
    drain_delay_seconds: float = setting(seconds(), 10)
    """How long it goes on accepting connections after that, at least."""
    drain_late_seconds: float = setting(seconds(), 40)
    """And at most, while clients still open any: on a busy node they hear late that this pod goes."""
    drain_seconds: float = setting(seconds(), 95)
    """How long running requests may take after that."""

    log_level: str = setting(_LEVELS, "info")
    log_format: Literal["json", "text"] = setting(_FORMATS, "json")

    @property
    def server(self) -> str:
        """The API server's base URL; raises ValueError where nothing names it."""
        if self.api_server:
            return self.api_server.rstrip("/")
        if not self.api_host:
            raise ValueError("no API server: neither SLICEWISE_GATEWAY_API_SERVER nor KUBERNETES_SERVICE_HOST is set")
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"https://{host}:{self.api_port}"


@dataclass(frozen=True, kw_only=True)
class EdgeSettings(_Settings):
    """What the edge of one gateway pod may hold, and where its Envoy and its Redis are."""

    pool: str = setting(str)
    namespace: str = setting(str)
    directory: Path = setting(Path, Path("/run/slicewise/envoy"))
    """Where Envoy reads its files, and the edge the weights of the revisions."""
    envoy_admin: str = setting(str, "http://127.0.0.1:9901")
    internal_url: str = setting(str, "http://127.0.0.1:8083")
    """Envoy's listener for what the edge sends on."""
    hold_port: int = setting(whole(1, 65535), 8081)
    cache_port: int = setting(whole(1, 65535), 8082)
    """Opened only where there may be a Redis."""
    metrics_port: int = setting(whole(0, 65535), 9093)
    """On every address of the pod; the other two on the loopback address only."""
    max_body_bytes: int = setting(whole(1), 64 << 20)
    """A last bound: Envoy keeps the pool's own, and keeps it first."""

    max_cached_request_bytes: int = setting(whole(1), 32 << 20)
    """Bodies in memory at a time, of requests that the response cache looks at; the next ones wait, unread."""

    hold_seconds: float = setting(seconds(), 60)
    """How long a request waits for a worker; less where the operator says so beside the weights."""
    max_held_requests: int = setting(whole(0), 256)
    max_held_bytes: int = setting(whole(0), 64 << 20)

    redis_url_file: Path | None = setting(Path, None)
    """File of a mounted Secret with `redis://`, `rediss://` or `unix://`; it may come later. None: no response cache."""
    redis_timeout_seconds: float = setting(seconds(positive=True), 0.05)
    """How long a request waits for Redis."""
    max_entry_bytes: int = setting(whole(1), 4 << 20)
    """The largest answer that is stored."""

    log_level: str = setting(_LEVELS, "info")
    log_format: Literal["json", "text"] = setting(_FORMATS, "json")
