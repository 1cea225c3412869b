"""What a rollout is judged by: Envoy's own counters for each revision, subtracted between two reads. Pure.

Called with the text of `/stats/prometheus`. A number that cannot be read is `NoData` with its reason, never 0: an absent
counter means 0 only where Envoy shows that it knows the revision's cluster.

"Slow" is a count, because the histogram has an edge exactly at the limit. It and the total come from the same histogram: a
histogram is merged with a delay that counters do not have, so a bucket against a counter would be wrong by what lies between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slicewise.api.bounds import count
from slicewise.gateway.bootstrap import edge_ms
from slicewise.gateway.listener import OUTCOME_TAG
from slicewise.gateway.model import revision_of

STATS_FILTER: Final = (
    r"^(cluster\.rev-[-a-z0-9]+\.upstream_rq_(total|time)|server\.uptime"
    rf"|slicewise\.(requests|failed)\.{OUTCOME_TAG}\.rev-[-a-z0-9]+)$"
)
"""Envoy's own names of what `parse_stats` reads; as the query `filter` it keeps the answer small."""

_LINE: Final = re.compile(r"^(envoy_[a-z_]+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_EDGE: Final = re.compile(r"[0-9]{1,12}([.][0-9]{1,12})?(e[+-]?[0-9]{1,2})?")
_CLUSTER: Final = "envoy_cluster_name"
_TIME: Final = "envoy_cluster_upstream_rq_time"


@dataclass(frozen=True, slots=True)
class NoData:
    """A number is not known, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one revision. In a reading since Envoy started, in an interval between two readings.

    `slow` are among `timed`: answers that came whole. `failed` are among `requests`: those that ended, without what clients made
    wrong (4xx) or left; an answer that broke off is a failure. What was tried again elsewhere counts once, with its last outcome.
    """

    requests: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return both together, as for two gateway pods."""
        return Counts(
            self.requests + other.requests,
            self.failed + other.failed,
            self.timed + other.timed,
            self.slow + other.slow,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one Envoy."""

    uptime: int
    """Seconds since Envoy started."""
    revisions: Mapping[str, Counts | NoData]


def parse_stats(text: str, p95_seconds: float) -> Reading | NoData:
    """Return what Envoy counted, from its Prometheus text; slow means longer than `p95_seconds`."""
    uptime: int | None = None
    clusters: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        sample = _sample(line)
        if sample is None:
            return NoData("a line of the counters cannot be read")
        name, labels, value = sample
        if name == "envoy_server_uptime":
            uptime = value
        elif cluster := labels.get(_CLUSTER) or labels.get(OUTCOME_TAG):
            clusters.setdefault(cluster, {})[_key(name, labels)] = value
    if uptime is None:
        return NoData("the answer does not hold Envoy's counters")
    known = ((revision_of(cluster), found) for cluster, found in clusters.items())
    return Reading(uptime, {revision: _counts(found, p95_seconds) for revision, found in known if revision})


def between(before: Reading, after: Reading, revision: str) -> Counts | NoData:
    """Return what happened to a revision between two readings of the same pod, or why that cannot be told."""
    if after.uptime < before.uptime:
        return NoData("Envoy started anew in between")
    last = after.revisions.get(revision, NoData(f"Envoy knows no revision {revision}"))
    # A revision that came in between began at 0.
    first = before.revisions.get(revision, Counts())
    if isinstance(last, NoData):
        return last
    if isinstance(first, NoData):
        return first
    delta = Counts(
        last.requests - first.requests, last.failed - first.failed, last.timed - first.timed, last.slow - first.slow
    )
    if min(delta.requests, delta.failed, delta.timed, delta.slow) < 0:
        return NoData("a counter went back")
    return delta


def _sample(line: str) -> tuple[str, dict[str, str], int] | None:
    match = _LINE.match(line)
    if match is None:
        return None
    try:
        value = int(float(match[3]))
    except (ValueError, OverflowError):
        return None
    bounded = count(value)
    return None if bounded is None else (match[1], dict(_LABEL.findall(match[2] or "")), bounded)


def _key(name: str, labels: Mapping[str, str]) -> str:
    if name == f"{_TIME}_bucket":
        le = labels.get("le", "")
        return f"le {float(le):g}" if _EDGE.fullmatch(le) else f"le {le}"
    return name


def _counts(found: Mapping[str, int], p95_seconds: float) -> Counts | NoData:
    if "envoy_cluster_upstream_rq_total" not in found:
        return NoData("Envoy does not say how many requests the revision had")
    # Envoy names a counter of ours with its first event.
    requests, failed = found.get("envoy_slicewise_requests", 0), found.get("envoy_slicewise_failed", 0)
    if f"{_TIME}_count" not in found:
        return Counts(requests, failed)
    edge = f"le {edge_ms(p95_seconds):g}"
    if edge not in found or "le +Inf" not in found:
        return NoData(f"the histogram has no edge at {p95_seconds:g} s: the gateway was started with another limit")
    total = found["le +Inf"]
    return Counts(requests, failed, total, total - found[edge])
