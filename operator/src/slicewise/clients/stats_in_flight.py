"""Requests in flight from Envoy's Prometheus text: those that workers have, and those that wait for a connection to one."""

from __future__ import annotations

import re
from typing import Final

from slicewise.api.bounds import count
from slicewise.envoy.measurement import NoData

IN_FLIGHT_FILTER: Final = r"^cluster\.rev-[-a-z0-9]+\.upstream_(rq_active|rq_pending_active)$"
"""Envoy's own names of what `parse_in_flight` reads, as the query `filter`."""
_LINE: Final = re.compile(
    r'^envoy_cluster_upstream_rq_(?:pending_)?active[{]envoy_cluster_name="rev-[-a-z0-9]{1,64}"[}] ([0-9]{1,15})(?:[.]0)?$',
    re.MULTILINE,
)


def parse_in_flight(text: str) -> int | NoData:
    """Return the sum over all revisions. Envoy lists a gauge of 0 too, so an answer without any knows no revision yet."""
    found = [count(int(number)) for number in _LINE.findall(text)]
    if not found:
        return NoData("the gateway knows no revision yet")
    return sum(number or 0 for number in found)
