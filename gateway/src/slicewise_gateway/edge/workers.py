"""How many workers Envoy holds for healthy, by its own word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from slicewise_gateway.bounded import SMALL_BYTES, read_whole

_CLUSTER: Final = "rev-"
_WELL: Final = (None, "HEALTHY", "UNKNOWN")


class WorkersOfEnvoy:
    """Asks Envoy of this pod. `edge_port`: that of the edge itself, which stands among a revision's endpoints and is no worker."""

    def __init__(self, admin_url: str, edge_port: int, session: aiohttp.ClientSession) -> None:
        self._url = admin_url.rstrip("/") + "/clusters"
        self._edge_port = edge_port
        self._session = session

    async def healthy(self) -> Mapping[str, int]:
        """Return the healthy workers of each revision; nothing where Envoy does not answer."""
        try:
            async with self._session.get(
                self._url, params={"format": "json"}, timeout=aiohttp.ClientTimeout(total=2), allow_redirects=False
            ) as answer:
                return count_healthy(json.loads(await read_whole(answer, SMALL_BYTES)), self._edge_port)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError, AttributeError):
            return {}


def count_healthy(clusters: Mapping[str, Any], edge_port: int) -> dict[str, int]:
    """Return the healthy workers of each revision in an answer of `/clusters?format=json`. Pure."""
    return {
        cluster["name"].removeprefix(_CLUSTER): sum(
            _is_healthy(host) for host in cluster.get("host_statuses", ()) if not _is_edge(host, edge_port)
        )
        for cluster in clusters.get("cluster_statuses", ())
        if cluster["name"].startswith(_CLUSTER)
    }


def _is_edge(host: Mapping[str, Any], port: int) -> bool:
    address = host["address"]["socket_address"]
    return bool(address["address"] == "127.0.0.1" and address["port_value"] == port)


def _is_healthy(host: Mapping[str, Any]) -> bool:
    """Any `failed_…` or `pending_…` flag says no."""
    health = dict(host.get("health_status", {}))
    return health.pop("eds_health_status", None) in _WELL and not any(health.values())
