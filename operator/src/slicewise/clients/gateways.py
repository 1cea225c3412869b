"""What a pool's gateway pods say of themselves over HTTP: Envoy's counters, and the configuration that Envoy runs.

Called by the observing step. Who does not answer in time is unknown, with the reason; never a zero.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from slicewise.gateway.measurement import STATS_FILTER, NoData, Reading, parse_stats
from slicewise.pool.observed import GatewayInfo

STATS_PORT: Final = 9090
AGENT_PORT: Final = 9092
_LIMIT: Final = 1 << 20
"""Bytes read of an answer; the counters of a revision are about 5 KiB."""


class Gateways(Protocol):
    """What the observing step asks of gateway pods. `address`: the pod's IP address."""

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        """Return Envoy's counters since it started."""

    async def info(self, address: str) -> GatewayInfo | NoData:
        """Return what the agent says."""


class HttpGateways:
    """`Gateways` over HTTP."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout: float = 1.0,
        *,
        stats_port: int = STATS_PORT,
        agent_port: int = AGENT_PORT,
    ) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._stats_port = stats_port
        self._agent_port = agent_port

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        """See `Gateways.counters`."""
        text = await self._get(_url(address, self._stats_port, "/stats/prometheus").with_query(filter=STATS_FILTER))
        return text if isinstance(text, NoData) else parse_stats(text, p95_seconds)

    async def info(self, address: str) -> GatewayInfo | NoData:
        """See `Gateways.info`."""
        text = await self._get(_url(address, self._agent_port, "/v1/gateway"))
        if isinstance(text, NoData):
            return text
        try:
            answer: Any = json.loads(text)
            return GatewayInfo(
                running=_text(answer["running"]),
                wanted=_text(answer["wanted"]),
                programmed=answer["programmed"] is True,
                reason=str(answer["reason"])[:64],
                message=str(answer["message"])[:512],
            )
        except (ValueError, KeyError, TypeError):
            return NoData("the agent's answer cannot be understood")

    async def _get(self, url: URL) -> str | NoData:
        try:
            async with self._session.get(url, timeout=self._timeout, allow_redirects=False) as response:
                if response.status != 200:
                    return NoData(f"{url.host}:{url.port} answered {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _LIMIT:
                        return NoData(f"{url.host}:{url.port} answered more than {_LIMIT} bytes")
                return body.decode()
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError, ValueError) as error:
            return NoData(f"{url.host}:{url.port} cannot be read: {type(error).__name__}")


def _url(address: str, port: int, path: str) -> URL:
    return URL.build(scheme="http", host=address, port=port, path=path)


def _text(value: object) -> str | None:
    return value[:64] if isinstance(value, str) else None
