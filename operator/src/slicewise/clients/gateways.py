"""What a pool's gateway pods say of themselves over HTTP: Envoy's counters, and the configuration that Envoy runs.

Called by the observing step. Who does not answer in time is unknown, with the reason; never a zero.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import aiohttp
from yarl import URL

from slicewise.api.bounds import count, json_object, line, word
from slicewise.api.ports import AGENT_PORT, EDGE_METRICS_PORT, STATS_PORT
from slicewise.clients.bounded import Unreadable, get_text
from slicewise.clients.stats import STATS_FILTER, parse_stats
from slicewise.clients.stats_in_flight import IN_FLIGHT_FILTER, InFlight, parse_in_flight
from slicewise.envoy.measurement import NoData, Reading
from slicewise.pool.observed import GatewayInfo

_LIMIT: Final = 64 * 1024
"""Bytes read of an answer; the counters of a revision are about 5 KiB, and four revisions at most are known at a time.
Parsing holds up everything else: 64 KiB of the worst kind take 0.1 s."""

_COMPLAINTS: Final = 20
_COMPLAINT_LENGTH: Final = 160
_ADDRESSED: Final = re.compile(r"^slicewise_edge_redis_addressed ([01])(?:[.]0)?$", re.MULTILINE)


class Gateways(Protocol):
    """What the observing step asks of gateway pods. `address`: the pod's IP address."""

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        """Return Envoy's counters since it started."""

    async def in_flight(self, address: str) -> InFlight | NoData:
        """Return the requests that Envoy has given to workers, or holds until there is one, and that have not ended."""

    async def info(self, address: str) -> GatewayInfo | NoData:
        """Return what the agent says."""

    async def redis(self, address: str) -> bool | None:
        """Return whether the edge has the address of a Redis; None where it does not say."""


class HttpGateways:
    """`Gateways` over HTTP. `timeout` in seconds bounds a whole exchange."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout: float = 1.0,
        *,
        stats_port: int = STATS_PORT,
        agent_port: int = AGENT_PORT,
        edge_port: int = EDGE_METRICS_PORT,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._stats_port = stats_port
        self._agent_port = agent_port
        self._edge_port = edge_port

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        """See `Gateways.counters`."""
        text = await self._get(_url(address, self._stats_port, "/stats/prometheus").with_query(filter=STATS_FILTER))
        return text if isinstance(text, NoData) else parse_stats(text, p95_seconds)

    async def in_flight(self, address: str) -> InFlight | NoData:
        """See `Gateways.in_flight`."""
        text = await self._get(_url(address, self._stats_port, "/stats/prometheus").with_query(filter=IN_FLIGHT_FILTER))
        return text if isinstance(text, NoData) else parse_in_flight(text)

    async def info(self, address: str) -> GatewayInfo | NoData:
        """See `Gateways.info`."""
        text = await self._get(_url(address, self._agent_port, "/v1/gateway"))
        if isinstance(text, NoData):
            return text
        answer = json_object(text)
        if answer is None or not answer.keys() >= {"running", "wanted", "programmed", "reason", "message"}:
            return NoData("the agent's answer cannot be understood")
        return GatewayInfo(
            running=_version(answer["running"]),
            wanted=_version(answer["wanted"]),
            programmed=answer["programmed"] is True,
            reason=word(answer["reason"]) or "",
            message=line(answer["message"]),
            keyed=answer.get("keyed") is True,
            tenants=count(answer.get("tenants")),
            complaints=_complaints(answer.get("complaints")),
        )

    async def redis(self, address: str) -> bool | None:
        """See `Gateways.redis`."""
        text = await self._get(_url(address, self._edge_port, "/metrics"))
        found = None if isinstance(text, NoData) else _ADDRESSED.search(text)
        return None if found is None else found[1] == "1"

    async def _get(self, url: URL) -> str | NoData:
        text = await get_text(self._session, url, limit=_LIMIT, seconds=self._timeout)
        return NoData(text.reason) if isinstance(text, Unreadable) else text


def _url(address: str, port: int, path: str) -> URL:
    return URL.build(scheme="http", host=address, port=port, path=path)


def _complaints(value: object) -> tuple[str, ...]:
    """Return the first few complaints, each as a line of bounded length."""
    found = value[:_COMPLAINTS] if isinstance(value, list) else []
    return tuple(text for one in found if (text := line(one, _COMPLAINT_LENGTH)))


def _version(value: object) -> str | None:
    return line(value, 64) if isinstance(value, str) else None
