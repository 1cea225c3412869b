"""What the cache knows, as metrics show it: each pool with its workers by state, and the slices. Read at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from slicewise.cluster.cache import Cache
from slicewise.objects.pods import is_lost
from slicewise.pool.observed import ObservedNode, ObservedPod
from slicewise.telemetry.pools import PoolNow


def pools_now(cache: Cache) -> Iterator[PoolNow]:
    """Yield the pools that exist."""
    for entry in cache.pools.values():
        if entry.uid:
            workers = Counter(
                (pod.observed.zone, _state(pod.observed, pod.fetching, cache.nodes)) for pod in entry.pods.values()
            )
            restarts = {(pod.observed.zone, pod.observed.name): pod.observed.restarts for pod in entry.pods.values()}
            yield PoolNow(entry.namespace, entry.name, entry.shown, workers, restarts, entry.scaled)


def slices_now(cache: Cache) -> Mapping[tuple[str, str, str], int]:
    """Return (resource, zone, state) → slices, for the resources whose memory a label says or that a pool takes.

    `held` by workers of all pools; `open`: on a node that takes workers; `closed`: on one that takes none now. Pods of others may
    hold what is open or closed: their slices are read only while a pool needs to know.
    """
    asked = {entry.resource for entry in cache.pools.values() if entry.uid}
    found: Counter[tuple[str, str, str]] = Counter()
    for node in cache.nodes.values():
        for resource, offered in node.allocatable.items():
            if resource in node.slice_memory or resource in asked:
                held = cache.holdings[node.name, resource]
                found[resource, node.zone, "held"] += held
                found[resource, node.zone, "open"] += 0
                found[resource, node.zone, "open" if node.usable else "closed"] += max(0, offered - held)
    return found


def _state(pod: ObservedPod, fetching: bool, nodes: Mapping[str, ObservedNode]) -> str:
    if pod.terminating:
        return "ending"
    if pod.phase in {"Failed", "Succeeded"}:
        return "failed"
    if is_lost(pod.node, nodes):
        return "lost"
    if pod.ready:
        return "suspect" if pod.device_unhealthy else "ready"
    if pod.node is None:
        return "unplaced"
    return "fetching" if fetching else "starting"
