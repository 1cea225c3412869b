"""Costing: look at what each pool holds and at what its workers did, and keep the account of each. Done by the replica that acts, alone.

Nothing waits for it: it asks workers, never the API server, and what it finds is for metrics and, now and then, for the status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from slicewise.api.duration import duration_seconds, is_duration
from slicewise.api.quantity import parse_quantity
from slicewise.clients.bounded import at_most
from slicewise.clients.clock import Clock
from slicewise.clients.resources import DEPLOYMENTS
from slicewise.clients.workers import Workers
from slicewise.cluster.cache import Cache
from slicewise.cluster.records import PoolEntry
from slicewise.cost.account import Account, Held, Holding
from slicewise.cost.prices import Prices
from slicewise.manifests.metadata import fallback_name
from slicewise.objects.pods import PodRecord
from slicewise.pool.observed import ObservedDeployment
from slicewise.telemetry.cost import PoolCost

_POOLS_AT_ONCE: Final = 8
_ASKED_AT_ONCE: Final = 16
"""Workers of one pool that are asked at the same time, which bounds the memory that their answers take."""
_IDLE_AFTER: Final = 600.0
"""Seconds; the default of `spec.autoscaling.idleAfter`."""


class Costing:
    """Keeps the accounts of all pools."""

    def __init__(self, cache: Cache, workers: Workers, clock: Clock, prices: Callable[[], Prices | None]) -> None:
        """`prices`: the price list as it is now; None where costs are not counted."""
        self._cache = cache
        self._workers = workers
        self._clock = clock
        self._read_prices = prices
        self.prices: Prices | None = None
        """As of the latest look."""

    async def look(self) -> None:
        """Look at every pool once."""
        self.prices = prices = self._read_prices()
        if prices is None:
            self.forget()
            return
        entries = [entry for entry in self._cache.pools.values() if entry.uid]
        await at_most(_POOLS_AT_ONCE, [self._look_at(entry, prices) for entry in entries])

    def forget(self) -> None:
        """Drop all accounts: another replica acts, and a later look goes on from what is stored."""
        for entry in self._cache.pools.values():
            entry.account = None

    async def _look_at(self, entry: PoolEntry, prices: Prices) -> None:
        serving = [uid for uid, pod in entry.pods.items() if pod.container and pod.address]
        addresses = [entry.pods[uid].address for uid in serving]
        asked = {uid: entry.pods[uid].container for uid in serving}
        answers = await at_most(_ASKED_AT_ONCE, [self._workers.counts(address) for address in addresses])
        if not entry.uid:
            return
        counts = dict(zip(serving, answers, strict=True))
        stored = entry.stored().get("spec") or {}
        held = [
            Held(
                uid,
                self._price(pod, prices),
                pod.container,
                counts.get(uid) if pod.container and pod.container == asked.get(uid) else None,
            )
            for uid, pod in sorted(entry.pods.items())
            if pod.observed.holds_slice
        ]
        if entry.account is None:
            entry.account = Account()
        holding = Holding(held, self._fallback(entry, stored, prices), _idle_after(stored))
        entry.account.look(holding, self._clock.monotonic(), self._clock.now())

    def _price(self, pod: PodRecord, prices: Prices) -> float | None:
        node = self._cache.nodes.get(str(pod.observed.node))
        node_labels = node.labels if node is not None else {}
        if pod.observed.resource is not None:
            return prices.of_slice(pod.observed.resource, node_labels)
        return prices.of_cores(pod.cores, node_labels)

    def _fallback(self, entry: PoolEntry, spec: Mapping[str, Any], prices: Prices) -> float | None:
        """What the ready pods of the fallback cost an hour. On which nodes they are is not known here, so the list counts."""
        child = entry.child(DEPLOYMENTS, fallback_name(entry.name))
        ready = child.facts.ready if child is not None and isinstance(child.facts, ObservedDeployment) else 0
        if not ready:
            return 0.0
        try:
            cores = float(parse_quantity(((spec.get("fallback") or {}).get("cpu") or {}).get("cores") or ""))
        except ValueError:
            return None
        return prices.of_cores(cores * ready, {})


def _idle_after(spec: Mapping[str, Any]) -> float:
    text = (spec.get("autoscaling") or {}).get("idleAfter")
    return duration_seconds(text) if isinstance(text, str) and is_duration(text) else _IDLE_AFTER


def costs_now(cache: Cache) -> Iterator[PoolCost]:
    """Yield what metrics show of each pool that has an account."""
    for entry in cache.pools.values():
        if entry.uid and entry.account is not None:
            account = entry.account
            yield PoolCost(entry.namespace, entry.name, account.rate, account.total, account.month.spend.total)


def slice_rates(cache: Cache, prices: Prices | None) -> Mapping[tuple[str, str, str], float]:
    """Return (resource, zone, state) → what those slices cost an hour, with the states of `slicewise_slices`.

    What has a slice in it whose price is not known is left out.
    """
    if prices is None:
        return {}
    found: Counter[tuple[str, str, str]] = Counter()
    unknown: set[tuple[str, str, str]] = set()
    asked = {entry.resource for entry in cache.pools.values() if entry.uid}
    for node in cache.nodes.values():
        for resource, offered in node.allocatable.items():
            if resource not in node.slice_memory and resource not in asked:
                continue
            price = prices.of_slice(resource, node.labels)
            held = cache.holdings[node.name, resource]
            rest = "open" if node.usable else "closed"
            for state, number in (("held", held), ("open", 0), (rest, max(0, offered - held))):
                place = (resource, node.zone, state)
                if price is None and number:
                    unknown.add(place)
                found[place] += number * (price or 0.0)  # type: ignore[assignment]  # a Counter of money
    return {place: money for place, money in found.items() if place not in unknown}
