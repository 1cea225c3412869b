"""Metrics of costs: money and work of each pool, and what slices cost by state. Served by the replica that acts, alone.

Amounts are in the currency that `slicewise_cost_info` names. A price that is not known has no sample: 0 would be a price. Sums begin at 0
with each process, as counters do. Tenants are bounded in number for each pool (`cost.work`), and their names by the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slicewise.cost.spend import Sums

_POOL: Final = ["namespace", "pool"]
_USES: Final = ("busy", "idle", "starting", "unread", "fallback", "fallback_idle", "assumed")
_KINDS: Final = ("prompt", "cached", "generated")


@dataclass(frozen=True, slots=True)
class PoolCost:
    """What a pool costs, at the moment of a scrape."""

    namespace: str
    name: str
    rate: float | None
    """Money an hour; None where it is not known."""
    total: Sums
    """Since this process began to count."""
    month: float
    """Money in the calendar month."""
    budget: float | None = None
    """Money for a month; None where the spec has none."""


class CostCollector(Collector):
    """The families of this module, read at each scrape; none while this replica does not act, or where costs are not counted."""

    def __init__(
        self,
        currency: Callable[[], str],
        pools: Callable[[], Iterable[PoolCost]],
        slices: Callable[[], Mapping[tuple[str, str, str], float]],
    ) -> None:
        """`currency`: empty where costs are not counted; `slices`: (resource, zone, state) → money an hour."""
        self._currency = currency
        self._pools = pools
        self._slices = slices

    def describe(self) -> Iterable[Metric]:
        """Say nothing: the names are known from the code, and a scrape at registration would be before the cache."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        currency = self._currency()
        if not currency:
            return
        info = GaugeMetricFamily("slicewise_cost_info", "1; the currency of all amounts of money.", labels=["currency"])
        info.add_metric([currency], 1)
        yield info
        slices = GaugeMetricFamily(
            "slicewise_cost_slices_per_hour",
            "Money an hour for slices by state, as slicewise_slices counts them; none where a price is not known.",
            labels=["resource", "zone", "state"],
        )
        for place, money in sorted(self._slices().items()):
            slices.add_metric(place, money)
        yield slices
        pools = list(self._pools())
        yield from _money(pools)
        yield from _work(pools)


def _money(pools: Iterable[PoolCost]) -> Iterator[Metric]:
    rate = GaugeMetricFamily(
        "slicewise_cost_pool_per_hour",
        "Money an hour for what the pool holds; none where a price is not known.",
        labels=_POOL,
    )
    spend = CounterMetricFamily(
        "slicewise_cost_pool_spend",
        "Money by what it was for: workers that were busy, idle, starting (or ending), unread (did not answer); fallback and "
        "fallback_idle: the CPU fallback while it computed, and the rest of its time; assumed (no look was taken).",
        labels=[*_POOL, "use"],
    )
    sleep = CounterMetricFamily(
        "slicewise_cost_pool_sleepable_spend", "Money that scaling to zero would have saved.", labels=_POOL
    )
    month = GaugeMetricFamily(
        "slicewise_cost_pool_month_spend", "Money in this calendar month (UTC), since costs are counted.", labels=_POOL
    )
    unpriced = CounterMetricFamily(
        "slicewise_cost_pool_unpriced_seconds", "Seconds of workers whose price is not known.", labels=_POOL
    )
    uncounted = CounterMetricFamily(
        "slicewise_cost_pool_uncounted_seconds",
        "Seconds in which no look was taken and no rate assumed; they are in no amount.",
        labels=_POOL,
    )
    budget = GaugeMetricFamily(
        "slicewise_cost_budget_month",
        "Money that the pool may cost in a calendar month: spec.cost.budget.",
        labels=_POOL,
    )
    spent = GaugeMetricFamily(
        "slicewise_cost_budget_spent_ratio", "Part of the month's budget that is spent.", labels=_POOL
    )
    for pool in pools:
        key, total = [pool.namespace, pool.name], pool.total.spend
        if pool.budget:
            budget.add_metric(key, pool.budget)
            spent.add_metric(key, pool.month / pool.budget)
        if pool.rate is not None:
            rate.add_metric(key, pool.rate)
        for use in _USES:
            spend.add_metric([*key, use], getattr(total, use))
        sleep.add_metric(key, total.sleepable)
        month.add_metric(key, pool.month)
        unpriced.add_metric(key, total.unpriced_seconds)
        uncounted.add_metric(key, total.uncounted_seconds)
    yield from (rate, spend, sleep, month, unpriced, uncounted, budget, spent)


def _work(pools: Iterable[PoolCost]) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "slicewise_cost_pool_requests",
        "Sequences that the pool's workers, the CPU fallback's too, answered to their end.",
        labels=_POOL,
    )
    paid_requests = CounterMetricFamily(
        "slicewise_cost_pool_paid_requests",
        "Of slicewise_cost_pool_requests_total, those of workers whose price is known.",
        labels=_POOL,
    )
    paid_tokens = CounterMetricFamily(
        "slicewise_cost_pool_paid_tokens",
        "Tokens that workers computed whose price is known: prompts as far as they were not cached, and answers.",
        labels=_POOL,
    )
    tokens = CounterMetricFamily(
        "slicewise_cost_tenant_tokens",
        "Tokens by tenant: prompt (of what was begun), cached (of those), generated. 50 tenants of a pool, then `other`.",
        labels=[*_POOL, "tenant", "kind"],
    )
    requests = CounterMetricFamily(
        "slicewise_cost_tenant_requests", "Sequences that were begun, by tenant.", labels=[*_POOL, "tenant"]
    )
    money = CounterMetricFamily(
        "slicewise_cost_tenant_spend",
        "Money for workers while they were busy, by tenant: by its part of their work, a generated token counted twice.",
        labels=[*_POOL, "tenant"],
    )
    for pool in pools:
        key, total = [pool.namespace, pool.name], pool.total
        answered.add_metric(key, total.work.answered)
        paid_requests.add_metric(key, total.spend.paid_requests)
        paid_tokens.add_metric(key, total.spend.paid_tokens)
        for tenant, found in sorted(total.work.tenants.items()):
            for kind in _KINDS:
                tokens.add_metric([*key, tenant, kind], getattr(found, kind))
            requests.add_metric([*key, tenant], found.requests)
            money.add_metric([*key, tenant], found.spend)
    yield from (answered, paid_requests, paid_tokens, tokens, requests, money)
