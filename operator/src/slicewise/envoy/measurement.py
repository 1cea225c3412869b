"""What a rollout is judged by: Envoy's own counters for each revision, subtracted between two reads. Pure.

Called with the text of `/stats/prometheus`. A number that cannot be read is `NoData` with its reason, never 0: an absent
counter means 0 only where Envoy shows that it knows the revision's cluster.

"Slow" is a count, told at the limit itself: of a request that ended later (`late`), or was seen to run on beyond it (`crossed`).
Each such request is in both once it has ended, if Envoy looked in time; so the greater of the two is how many have been slow for
certain, and none is counted twice, neither when it ends after it was seen nor by another read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final

from slicewise.api.bounds import count
from slicewise.envoy.model import revision_of
from slicewise.envoy.outcomes import LIMIT_TAG, OUTCOME_TAG, limit_ms

_TIMED: Final = ("crossed", "fast", "late", "gone", "left")
_TOLD: Final = ("failed", "refused")
_TRIES: Final = ("rq_total", "rq_pending_failure_eject", "rq_pending_overflow", "cx_none_healthy")
"""What becomes of a try: a worker gets it, cannot be reached, has too much to do, or there is none."""
STATS_FILTER: Final = (
    rf"^(cluster\.rev-[-a-z0-9]+\.upstream_({'|'.join(_TRIES)}|rq_retry|rq_active)|server\.uptime"
    rf"|slicewise\.({'|'.join((*_TIMED, *_TOLD))})\.{OUTCOME_TAG}\.rev-[-a-z0-9]+(\.{LIMIT_TAG}\.[0-9]+)?)$"
)
"""Envoy's own names of what `parse_stats` reads; as the query `filter` it keeps the answer small."""

_LINE: Final = re.compile(r"^(envoy_[a-z_]+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_CLUSTER: Final = "envoy_cluster_name"
_OURS: Final = "envoy_slicewise_"
_ENVOYS: Final = "envoy_cluster_upstream_"


@dataclass(frozen=True, slots=True)
class NoData:
    """A number is not known, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one revision. In a reading since Envoy started, in an interval between two readings.

    What was tried again elsewhere counts once, with its last outcome. What Envoy answered before a worker was asked is in none.
    """

    tries: int = 0
    """Requests that the revision got, each try for itself, whether a worker could be asked or not."""
    retried: int = 0
    """Tries that were not the first one."""
    failed: int = 0
    """Requests that ended in an error, in time-out or in an answer that broke off."""
    refused: int = 0
    """Requests that a worker answered with a 4xx."""
    left: int = 0
    """Requests that the client left before the limit."""
    timed: int = 0
    """Requests of which it is known whether they were slow: answered before the limit, or over it."""
    slow: int = 0
    """Of these, the ones over the limit, whether they have ended or not."""
    pending: int = 0
    """Requests that run at the moment and are over the limit. No sum over time."""

    @property
    def started(self) -> int:
        """Requests that the revision got."""
        return self.tries - self.retried

    @property
    def requests(self) -> int:
        """Requests that the revision got and that are not counted out: neither refused nor left by the client."""
        return self.started - self.refused - self.left

    def __add__(self, other: Counts) -> Counts:
        """Return both together, as for two gateway pods."""
        return _made([ours + theirs for ours, theirs in zip(_numbers(self), _numbers(other), strict=True)])

    def since(self, before: Counts) -> Counts | NoData:
        """Return what came after `before`, or why that cannot be told."""
        *deltas, _ = (now - then for now, then in zip(_numbers(self), _numbers(before), strict=True))
        return NoData("a counter went back") if min(deltas) < 0 else _made([*deltas, self.pending])


_numbers: Final[Callable[[Counts], tuple[int, ...]]] = attrgetter(*(field.name for field in fields(Counts)))


def _made(numbers: Iterable[int]) -> Counts:
    return Counts(*numbers)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one Envoy."""

    uptime: int
    """Seconds since Envoy started."""
    revisions: Mapping[str, Counts | NoData]


def parse_stats(text: str, limit: float) -> Reading | NoData:
    """Return what Envoy counted, from its Prometheus text; slow means longer than `limit` seconds."""
    uptime: int | None = None
    clusters: dict[str, dict[str, int]] = {}
    others: set[str] = set()
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
            if labels.get(LIMIT_TAG, str(limit_ms(limit))) == str(limit_ms(limit)):
                clusters.setdefault(cluster, {})[name.removeprefix(_OURS)] = value
            else:
                others.add(cluster)
    if uptime is None:
        return NoData("the answer does not hold Envoy's counters")
    known = ((revision_of(cluster), cluster, found) for cluster, found in clusters.items())
    return Reading(
        uptime, {revision: _counts(found, limit, cluster in others) for revision, cluster, found in known if revision}
    )


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
    return last.since(first)


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


def _counts(found: Mapping[str, int], limit: float, by_another_limit: bool) -> Counts | NoData:
    if f"{_ENVOYS}rq_total" not in found:
        return NoData("Envoy does not say how many requests the revision had")
    # Envoy names a counter of ours with its first event.
    crossed, fast, late, gone, left = (found.get(name, 0) for name in _TIMED)
    failed, refused = (found.get(name, 0) for name in _TOLD)
    if by_another_limit and not any((crossed, fast, late, left)):
        return NoData(f"the gateway was started with another limit than {limit:g} s")
    slow = max(late, crossed)
    return Counts(
        tries=sum(found.get(f"{_ENVOYS}{name}", 0) for name in _TRIES),
        retried=found.get(f"{_ENVOYS}rq_retry", 0),
        failed=failed,
        refused=refused,
        left=left,
        timed=fast + slow,
        slow=slow,
        pending=min(found.get(f"{_ENVOYS}rq_active", 0), max(0, crossed - gone)),
    )
