"""Requests in flight from Envoy's Prometheus text.

Requests of clients to the API of jobs are none: no worker is needed for them. Those by which dispatchers run jobs are.

Two counts, of which the smaller is right. Envoy's clusters count a request twice that was held until a worker came: once on its way to the
edge, and once on its way from there to the worker. The listener counts each of many clients that wait for one answer to go into the cache.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from slicewise.envoy.measurement import NoData

_TRIES: Final = ("rq_total", "rq_pending_failure_eject", "rq_pending_overflow", "cx_none_healthy")
"""How a try to reach the API of jobs may go."""
IN_FLIGHT_FILTER: Final = (
    r"^(cluster\.rev-[-a-z0-9]+\.upstream_(rq_active|rq_pending_active)|http\.(pool|jobs)\.downstream_rq_(active|total)"
    rf"|cluster\.jobs\.upstream_(rq_active|rq_pending_active|rq_retry|{'|'.join(_TRIES)}))$"
)
"""Envoy's own names of what `parse_in_flight` reads, as the query `filter`."""
_NUMBER: Final = "([0-9]{1,15})(?:[.]0)?$"
_CLUSTER: Final = re.compile(
    r'^envoy_cluster_upstream_rq_(?:pending_)?active[{]envoy_cluster_name="rev-[-a-z0-9]{1,64}"[}] ' + _NUMBER,
    re.MULTILINE,
)
_LISTENER: Final = re.compile(
    r'^envoy_http_downstream_rq_(active|total)[{]envoy_http_conn_manager_prefix="(pool|jobs)"[}] ' + _NUMBER,
    re.MULTILINE,
)
_JOBS_API: Final = re.compile(
    r'^envoy_cluster_upstream_(\w{1,40})[{]envoy_cluster_name="jobs"[}] ' + _NUMBER, re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The requests of one gateway pod."""

    requests: int
    """That workers have, or that wait for one."""
    begun: int = 0
    """Of clients and dispatchers since Envoy started, whatever became of them."""


def parse_in_flight(text: str) -> InFlight | NoData:
    """Return the sums over all revisions. Envoy lists a gauge of 0 too, so an answer without any knows no revision yet."""
    found = [int(number) for number in _CLUSTER.findall(text)]
    if not found:
        return NoData("the gateway knows no revision yet")
    listeners = {(prefix, kind): int(number) for kind, prefix, number in _LISTENER.findall(text)}
    if not listeners.keys() >= {("pool", "active"), ("pool", "total")}:
        return NoData("the answer does not hold the requests of clients")
    api = {kind: int(number) for kind, number in _JOBS_API.findall(text)}
    of_api = api.get("rq_active", 0) + api.get("rq_pending_active", 0)
    tries = sum(api.get(kind, 0) for kind in _TRIES) - api.get("rq_retry", 0)
    active = listeners["pool", "active"] - of_api + listeners.get(("jobs", "active"), 0)
    begun = listeners["pool", "total"] - tries + listeners.get(("jobs", "total"), 0)
    return InFlight(min(sum(found), max(0, active)), max(0, begun))
