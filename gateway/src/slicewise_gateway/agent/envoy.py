"""Envoy's admin interface: what it runs, what it refused, and how it is sent home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from slicewise_gateway.agent.keys import KEYS_FILE
from slicewise_gateway.bounded import SMALL_BYTES, read_whole

EDS_PREFIX: Final = "eds-"
SHARES_FILE: Final = "ecds-shares.json"
_SCOPES: Final = {
    "cds.json": "cluster_manager.cds",
    "lds.json": "listener_manager.lds",
    "rds.json": "http.pool.rds.pool",
    "rds-internal.json": "http.internal.rds.internal",
    "rds-jobs.json": "http.jobs.rds.jobs",
    "rtds.json": "runtime",
    SHARES_FILE: "extension_config_discovery.http_filter.tenant-shares",
    KEYS_FILE: "extension_config_discovery.http_filter.tenant-keys",
}
_TROUBLE: Final = ("update_rejected", "update_failure", "load_error")
_FILTER: Final = (
    r"(version_text|update_rejected|update_failure|runtime\.load_error|warming_clusters"
    r"|http\.(pool|jobs)\.downstream_(rq_active|cx_total))$"
)

_CONNECTIONS: Final = "overload.envoy.resource_monitors.global_downstream_max_connections.pressure"
"""Open connections in per cent of the bound."""


@dataclass(frozen=True, slots=True)
class EnvoyState:
    """One look at Envoy."""

    versions: Mapping[str, str]
    """File name to the version that Envoy runs."""
    refusals: Mapping[str, int]
    """File name to how often Envoy has refused it since it started."""
    warming: int
    """Clusters that Envoy has read and does not use yet."""
    active_requests: int
    """Of clients, and of dispatchers of jobs."""
    connections: int
    """That clients and dispatchers have opened since Envoy started."""


class EnvoyError(Exception):
    """Envoy does not answer, or not what was asked. It may still serve clients: its admin port waits for its main thread."""


class EnvoyGoneError(EnvoyError):
    """Nothing listens on Envoy's admin port: the process has ended."""


class EnvoyAdmin:
    """Envoy of this pod."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._session = session

    async def state(self) -> EnvoyState:
        """Return what Envoy runs. Raises EnvoyError."""
        return _state(await self._ask("GET", "/stats", filter=_FILTER))

    async def is_ready(self) -> bool:
        """Whether Envoy takes requests: it has its configuration, and its health check has not been set to fail."""
        try:
            return (await self._ask("GET", "/ready")).strip() == "LIVE"
        except EnvoyError:
            return False

    async def takes_connections(self) -> bool:
        """Whether clients can connect: Envoy closes each new connection at once while as many are open as it may have."""
        try:
            text = await self._ask("GET", "/stats", filter=f"^{_CONNECTIONS}$")
        except EnvoyError:
            return False
        return float(text.rpartition(": ")[2] or 0) < 100

    async def fail_health_check(self) -> None:
        """Let Envoy say that it goes. Raises EnvoyError."""
        await self._ask("POST", "/healthcheck/fail")

    async def drain(self) -> None:
        """Let clients leave connection by connection, with their next answer. Raises EnvoyError."""
        await self._ask("POST", "/drain_listeners", graceful="", skip_exit="")

    async def quit(self) -> None:
        """End Envoy. Raises EnvoyError."""
        await self._ask("POST", "/quitquitquit")

    async def _ask(self, method: str, path: str, **query: str) -> str:
        try:
            async with self._session.request(
                method, self._url + path, params=query, timeout=aiohttp.ClientTimeout(total=2), allow_redirects=False
            ) as response:
                text = (await read_whole(response, SMALL_BYTES)).decode("utf-8", "replace")
                if response.status != 200:
                    raise EnvoyError(f"{path}: {response.status} {text.strip()[:100]}")
                return text
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise (EnvoyGoneError if refused else EnvoyError)(f"{path}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EnvoyError(f"{path}: {type(error).__name__}: {error}") from error


def _state(text: str) -> EnvoyState:
    if not text.strip():
        raise EnvoyError("/stats: an empty answer")  # not the same as: nothing runs
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    scopes = {scope: name for name, scope in _SCOPES.items()}
    versions: dict[str, str] = {}
    refusals: dict[str, int] = {}
    for key, value in values.items():
        scope, _, stat = key.rpartition(".")
        name = scopes.get(scope)
        if name is None and scope.startswith("cluster."):
            name = f"{EDS_PREFIX}{scope.removeprefix('cluster.')}.json"
        if name is None:
            continue
        if stat == "version_text":
            versions[name] = value.strip('"')
        elif stat in _TROUBLE:
            refusals[name] = refusals.get(name, 0) + _count(value)
    return EnvoyState(
        versions,
        refusals,
        _count(values.get("cluster_manager.warming_clusters", "0")),
        _of_clients(values, "rq_active"),
        _of_clients(values, "cx_total"),
    )


def _of_clients(values: Mapping[str, str], stat: str) -> int:
    return sum(_count(values.get(f"http.{listener}.downstream_{stat}", "0")) for listener in ("pool", "jobs"))


def _count(text: str) -> int:
    if len(text) > 18 or not text.isdecimal():
        raise EnvoyError(f"/stats: {text[:40]!r} is no count")
    return int(text)
