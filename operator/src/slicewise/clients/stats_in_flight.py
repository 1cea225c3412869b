"""Requests in flight from Envoy's Prometheus text.

Two counts, of which the smaller is right. Envoy's clusters count a request twice that was held until a worker came: once on its way to the
edge, and once on its way from there to the worker. The listener counts each of many clients that wait for one answer to go into the cache.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from slicewise.envoy.measurement import NoData

IN_FLIGHT_FILTER: Final = (
    r"^(cluster\.rev-[-a-z0-9]+\.upstream_(rq_active|rq_pending_active)|http\.pool\.downstream_rq_(active|total))$"
)
"""Envoy's own names of what `parse_in_flight` reads, as the query `filter`."""
_NUMBER: Final = "([0-9]{1,15})(?:[.]0)?$"
_CLUSTER: Final = re.compile(
    r'^envoy_cluster_upstream_rq_(?:pending_)?active[{]envoy_cluster_name="rev-[-a-z0-9]{1,64}"[}] ' + _NUMBER,
    re.MULTILINE,
)
_LISTENER: Final = re.compile(
    r'^envoy_http_downstream_rq_(active|total)[{]envoy_http_conn_manager_prefix="pool"[}] ' + _NUMBER, re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The requests of one gateway pod."""

    requests: int
    """That workers have, or that wait for one."""
    begun: int = 0
    """Of clients since Envoy started, whatever became of them."""


def parse_in_flight(text: str) -> InFlight | NoData:
    """Return the sums over all revisions. Envoy lists a gauge of 0 too, so an answer without any knows no revision yet."""
    found = [int(number) for number in _CLUSTER.findall(text)]
    if not found:
        return NoData("the gateway knows no revision yet")
    listener = {kind: int(number) for kind, number in _LISTENER.findall(text)}
    if listener.keys() != {"active", "total"}:
        return NoData("the answer does not hold the requests of clients")
    return InFlight(min(sum(found), listener["active"]), listener["total"])
