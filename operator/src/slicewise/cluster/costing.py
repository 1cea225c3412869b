"""Costing: look at what each pool holds and at what its workers did, and keep the account of each. Done by the replica that acts, alone.

Nothing waits for it: it asks workers, never the API server, and what it finds is for metrics and, now and then, for the status.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from slicewise.api.duration import duration_seconds, is_duration
from slicewise.api.quantity import parse_quantity
from slicewise.api.v1alpha1.cost import CostSpec
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.clients.bounded import at_most
from slicewise.clients.clock import Clock
from slicewise.clients.workers import Workers
from slicewise.cluster.cache import Cache, Key
from slicewise.cluster.records import PoolEntry
from slicewise.cost.account import LOOK_SECONDS, Account, Held, Holding
from slicewise.cost.budget import Budget
from slicewise.cost.prices import Prices, summed
from slicewise.cost.published import Published, Written, is_due
from slicewise.cost.savings import ROOM, Offer, cheapest_fit
from slicewise.cost.work import WorkerCounts
from slicewise.objects.pods import PodRecord
from slicewise.pool.cost import read_budget, read_month
from slicewise.telemetry.cost import PoolCost

_POOLS_AT_ONCE: Final = 8
_ASKED_AT_ONCE: Final = 16
"""Workers of one pool that are asked at the same time, which bounds the memory that their answers take."""
_IDLE_AFTER: Final = 600.0
"""Seconds; the default of `spec.autoscaling.idleAfter`."""


class Costing:
    """Keeps the accounts of all pools."""

    def __init__(
        self,
        cache: Cache,
        workers: Workers,
        clock: Clock,
        prices: Callable[[], Prices | None],
        wake: Callable[[Key], None],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        """`prices`: the price list as it is now, None where costs are not counted; `wake` is called with a pool whose figures are due;
        `seconds`: between two looks.
        """
        self.seconds = seconds
        """Between two looks."""
        self._wake = wake
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
            entry.account = entry.cost = None

    async def _look_at(self, entry: PoolEntry, prices: Prices) -> None:
        asked = [
            (uid, pod.container, pod.address)
            for pods in (entry.pods, entry.fallback_pods)
            for uid, pod in pods.items()
            if pod.container and pod.address
        ]
        answers = await at_most(_ASKED_AT_ONCE, [self._workers.counts(address) for _, _, address in asked])
        await asyncio.sleep(0)  # many pools without an answer to wait for would hold up the lease
        if not entry.uid:
            return
        said = {(uid, container): found for (uid, container, _), found in zip(asked, answers, strict=True)}
        body = entry.stored()
        stored = body.get("spec") or {}
        held = self._held(entry.pods, prices, said)
        fallback = self._held(entry.fallback_pods, prices, said, fallback=True)
        if entry.account is None:
            entry.account = _resumed(body, self._clock.now())
        holding = Holding([*held, *fallback], _idle_after(stored))
        entry.account.look(holding, self._clock.monotonic(), self._clock.now())
        self._publish(entry, entry.account, held, body, prices)

    def _publish(
        self, entry: PoolEntry, account: Account, held: Sequence[Held], body: Mapping[str, Any], prices: Prices
    ) -> None:
        account.budget = _budget(body)
        now = Written(self._clock.now(), account.rate, account.month.spend.total)
        if not is_due(account.written, now, account.budget, self.seconds):
            return
        offers = list(self._offers(prices))
        worker = _mean([one.price for one in held]) if held else self._price_of_one(entry, offers)
        needed = _needed(held, (body.get("status") or {}).get("slice") or {})
        cheaper = cheapest_fit(offers, needed, worker) if entry.resource else None
        account.written = now
        entry.cost = Published(prices.currency, now.at, account.since, account.rate, worker, account.month, cheaper)
        self._wake(entry.key)

    def _offers(self, prices: Prices) -> Iterator[Offer]:
        """The profiles of the nodes that take workers, each once for each price."""
        seen = set()
        for node in self._cache.nodes.values():
            for resource, memory in node.slice_memory.items():
                price = prices.of_slice(resource, node.labels)
                if node.usable and price is not None and resource in node.allocatable:
                    seen.add(Offer(resource, float(memory), price))
        yield from seen

    def _price_of_one(self, entry: PoolEntry, offers: Sequence[Offer]) -> float | None:
        """What a worker would cost in a pool without one: the least that a node asks for its slice."""
        return min((offer.price for offer in offers if offer.resource == entry.resource), default=None)

    def _price(self, pod: PodRecord, prices: Prices) -> float | None:
        node = self._cache.nodes.get(str(pod.observed.node))
        node_labels = node.labels if node is not None else {}
        if pod.observed.resource is not None:
            return prices.of_slice(pod.observed.resource, node_labels)
        return prices.of_cores(pod.cores, node_labels)

    def _held(
        self,
        pods: Mapping[str, PodRecord],
        prices: Prices,
        said: Mapping[tuple[str, int], WorkerCounts | None],
        *,
        fallback: bool = False,
    ) -> list[Held]:
        """Return those that have a place on a node. `said`: (uid, container) → what it answered, if another container is ready now."""
        return [
            Held(uid, self._price(pod, prices), pod.container, said.get((uid, pod.container)), fallback)
            for uid, pod in sorted(pods.items())
            if pod.observed.holds_slice
        ]


def _resumed(body: Mapping[str, Any], now: float) -> Account:
    """Return an account that goes on from what is stored of the pool's."""
    account, stored = Account(), read_month(PoolStatus.read(body.get("status") or {}).cost)
    if stored is not None:
        account.resume(stored.month, stored.since, stored.rate, stored.at, now)
    return account


def _budget(body: Mapping[str, Any]) -> Budget | None:
    """Return the budget of a pool; None for one without, and for a spec that is not accepted."""
    try:
        cost = CostSpec.model_validate((body.get("spec") or {}).get("cost") or {})
    except ValidationError:
        return None
    return None if cost.budget is None else read_budget(cost.budget)


def _mean(prices: Sequence[float | None]) -> float | None:
    whole = summed(prices)
    return whole / len(prices) if prices and whole is not None else None


def _needed(held: Sequence[Held], shown: Mapping[str, Any]) -> float | None:
    """Bytes that a slice must have: what the spec asks for, else what the workers that serve have in use, with some room."""
    try:
        return float(parse_quantity(shown["needed"]))
    except (KeyError, ValueError):
        pass
    serving = [one for one in held if one.container]
    used = [
        one.counts.memory_bytes for one in serving if one.counts is not None and one.counts.memory_bytes is not None
    ]
    return max(used) * ROOM if used and len(used) == len(serving) else None


def _idle_after(spec: Mapping[str, Any]) -> float:
    text = (spec.get("autoscaling") or {}).get("idleAfter")
    return duration_seconds(text) if isinstance(text, str) and is_duration(text) else _IDLE_AFTER


def costs_now(cache: Cache) -> Iterator[PoolCost]:
    """Yield what metrics show of each pool that has an account."""
    for entry in cache.pools.values():
        if entry.uid and entry.account is not None:
            account = entry.account
            budget = None if account.budget is None else account.budget.amount
            yield PoolCost(entry.namespace, entry.name, account.rate, account.total, account.month.spend.total, budget)


def slice_rates(cache: Cache, prices: Prices | None) -> Mapping[tuple[str, str, str], float]:
    """Return (resource, zone, state) → what those slices cost an hour, with the states of `slicewise_slices`.

    What has a slice in it whose price is not known is left out.
    """
    if prices is None:
        return {}
    found: defaultdict[tuple[str, str, str], float] = defaultdict(float)
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
                found[place] += number * (price or 0.0)
    return {place: money for place, money in found.items() if place not in unknown}
