"""Envoy's counters from its Prometheus text.

A number that cannot be read is `NoData` with its reason, never 0: an absent counter means 0 only where Envoy shows that it
knows the revision's cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from slicewise.api.bounds import count
from slicewise.envoy.measurement import Counts, NoData, Reading
from slicewise.envoy.model import revision_of
from slicewise.envoy.outcomes import LIMIT_TAG, OUTCOME_TAG, limit_ms

_TIMED: Final = ("crossed", "fast", "late", "gone", "left")
_TOLD: Final = ("failed", "refused", "aside", "aside_again", "jobs", "jobs_ended", "jobs_refused")
_TRIES: Final = ("rq_total", "rq_pending_failure_eject", "rq_pending_overflow", "cx_none_healthy")
"""The outcomes of a try: a worker gets it, cannot be reached, is overloaded, or does not exist."""
STATS_FILTER: Final = (
    rf"^(cluster\.rev-[-a-z0-9]+\.upstream_({'|'.join(_TRIES)}|rq_retry|rq_active)|server\.uptime"
    rf"|slicewise\.({'|'.join((*_TIMED, *_TOLD))})\.{OUTCOME_TAG}\.rev-[-a-z0-9]+(\.{LIMIT_TAG}\.[0-9]+)?)$"
)
"""Envoy's own names of what `parse_stats` reads; as the query `filter` it keeps the answer small."""
_LONGEST_LINE: Final = 1024
"""Characters of a line; Envoy's have about 100, and what a line costs the parser grows with the square of its length."""
_CLUSTER: Final = "envoy_cluster_name"
_OURS: Final = "envoy_slicewise_"
_ENVOYS: Final = "envoy_cluster_upstream_"


def parse_stats(text: str, limit: float) -> Reading | NoData:
    """Return what Envoy counted, from the text of `/stats/prometheus`; slow means longer than `limit` seconds."""
    uptime: int | None = None
    clusters: dict[str, dict[str, int]] = {}
    others: set[str] = set()
    if max(map(len, text.splitlines()), default=0) > _LONGEST_LINE:
        return NoData("a line of the counters is too long")
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except ValueError:
        return NoData("a line of the counters cannot be read")
    for sample in samples:
        name, labels, value = _plain(sample.name), sample.labels, _whole(sample)
        if value is None:
            return NoData("a line of the counters cannot be read")
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


def _plain(name: str) -> str:
    """Return the name without `_total`, which the parser gives to every counter, and which some of Envoy's have anyway."""
    return name.removesuffix("_total")


def _whole(sample: Sample) -> int | None:
    """Return the value as a whole number in range; None for a fraction's overflow, NaN, or more than any counter has."""
    try:
        return count(int(sample.value))
    except (ValueError, OverflowError):
        return None


def _counts(found: Mapping[str, int], limit: float, by_another_limit: bool) -> Counts | NoData:
    if _plain(f"{_ENVOYS}rq_total") not in found:
        return NoData("Envoy does not say how many requests the revision had")
    # Envoy names a counter of ours with its first event.
    crossed, fast, late, gone, left = (found.get(name, 0) for name in _TIMED)
    failed, refused, aside, again, jobs, jobs_ended, jobs_refused = (found.get(name, 0) for name in _TOLD)
    if by_another_limit and not any((crossed, fast, late, left)):
        return NoData(f"the gateway was started with another limit than {limit:g} s")
    slow = max(late, crossed)
    return Counts(
        # What the CPU fallback got is no try of the revision. Of the two counters of one try, a read may see the later one only.
        tries=max(0, sum(found.get(_plain(f"{_ENVOYS}{name}"), 0) for name in _TRIES) - aside),
        retried=max(0, found.get(f"{_ENVOYS}rq_retry", 0) - again),
        failed=failed,
        refused=refused,
        left=left,
        timed=fast + slow,
        slow=slow,
        jobs=jobs,
        jobs_ended=jobs_ended,
        jobs_refused=jobs_refused,
        pending=min(found.get(f"{_ENVOYS}rq_active", 0), max(0, crossed - gone)),
    )
