"""Cost: the figures of a pool's account as `status.cost`, and what its budget makes of them. Pure.

The figures are published by `cluster/costing.py`, once in a while, so that a plan made twice is the same. `read_month` is the way back: a
new leader and `kubectl slicewise cost` go on from what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.cost import BudgetSpec
from slicewise.api.v1alpha1.status_cost import CheaperStatus, CostStatus, SpendStatus, TenantStatus
from slicewise.cost.budget import Budget, Standing, standing, workers_paid
from slicewise.cost.month import month_end
from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import OTHER, Tokens, Work
from slicewise.pool.observed import ObservedPool
from slicewise.pool.rollout.times import format_time, read_time

MOST_TENANTS: Final = 20
"""Tenants in the status, besides `other`."""
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of an account."""

    month: Sums
    since: float
    at: float
    rate: float | None


def cost_status(pool: InferencePool, observed: ObservedPool) -> CostStatus | None:
    """Return `status.cost`: as it is stored until the costing has published, and none where costs are not counted."""
    if not observed.installation.counts_costs:
        return None
    found, cap = observed.cost, budget_cap(pool, observed)
    if found is None:
        stored = observed.status.cost
        return None if stored is None else stored.model_copy(update={"max_replicas": cap})
    cheaper = found.cheaper
    return CostStatus(
        currency=found.currency,
        at=format_time(found.at),
        since=format_time(found.since),
        per_hour=_rounded(found.rate),
        worker_per_hour=_rounded(found.worker),
        spend=SpendStatus(**{name: _rounded(getattr(found.month.spend, name)) for name in Spend.__slots__}),
        requests=found.month.work.answered,
        tenants=_tenants(found.month.work) or None,
        cheaper=None if cheaper is None else CheaperStatus(resource=cheaper.resource, per_hour=cheaper.price),
        max_replicas=cap,
    )


def read_month(status: CostStatus | None) -> Stored | None:
    """Return what is stored of an account; None where that is nothing that can be gone on from."""
    since, at = (read_time(status.since), read_time(status.at)) if status is not None else (None, None)
    if status is None or since is None or at is None:
        return None
    spend = status.spend or SpendStatus()
    sums = Spend(**{name: getattr(spend, name) or 0.0 for name in Spend.__slots__})
    tenants = {
        one.name: Tokens(*(getattr(one, name) or 0.0 for name in Tokens.__slots__)) for one in status.tenants or ()
    }
    return Stored(Sums(sums, Work(status.requests or 0.0, tenants)), since, at, status.per_hour)


def budget_cap(pool: InferencePool, observed: ObservedPool) -> int | None:
    """Return the most workers that the rest of the budget pays for, at least 1; None where nothing is to be capped, or not known."""
    spec = budget_of(pool)
    if spec is None or not spec.cap_replicas or not observed.installation.counts_costs:
        return None
    before = observed.status.cost.max_replicas if observed.status.cost is not None else None
    found = observed.cost
    if found is None:
        return before
    left = month_end(found.since) - found.at
    paid = workers_paid(read_budget(spec), found.month.spend.total, found.worker, left, before)
    return None if paid is None else max(1, paid)


def budget_of(pool: InferencePool) -> BudgetSpec | None:
    """Return the budget of the spec."""
    return None if pool.spec.cost is None else pool.spec.cost.budget


def read_budget(spec: BudgetSpec) -> Budget:
    """Return the budget as the arithmetic takes it."""
    return Budget(float(spec.per_month), float(spec.warn_at.removesuffix("%")) / 100)


def budget_standing(spec: BudgetSpec, observed: ObservedPool) -> Standing:
    """Return how the budget stands, by what is published or else stored."""
    found = observed.cost
    if found is not None:
        return standing(read_budget(spec), found.month.spend.total, priced=found.rate is not None)
    stored = read_month(observed.status.cost)
    if stored is None or not observed.installation.counts_costs:
        return Standing.UNKNOWN
    return standing(read_budget(spec), stored.month.spend.total, priced=stored.rate is not None)


def _tenants(work: Work) -> tuple[TenantStatus, ...]:
    """The ones with most work; the rest is one more. By name, so that the list stays in order."""
    named = [name for name in sorted(work.tenants, key=lambda name: (-work.tenants[name].units, name)) if name != OTHER]
    kept = sorted(named[:MOST_TENANTS])
    rest = sum((work.tenants[name] for name in work.tenants if name not in kept), Tokens())
    entries = [(name, work.tenants[name]) for name in kept]
    if rest != Tokens():
        entries.append((OTHER, rest))
    return tuple(
        TenantStatus(name=name, **{part: _rounded(getattr(one, part)) for part in Tokens.__slots__})
        for name, one in entries
    )


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, _DIGITS)
