"""What pools cost in this month, from their status: an hour, each request and token, tenants, idle slices, and what could be saved. Pure.

Amounts are in the currency of the pool's `status.cost`, which the operator writes every 15 minutes. Unknown amounts are None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.cost.figures import per_million_tokens, per_thousand_requests, tenant_money, tenant_shares
from slicewise.cost.month import month_end
from slicewise.cost.prices import LABEL_PREFIX, read_amount
from slicewise.cost.spend import Sums
from slicewise.pool.cost import read_month
from slicewise_cli.view.slices import NodeSlices

HOURS_A_MONTH: Final = 730.0
"""As clouds count: a year's hours over twelve."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's part."""

    name: str
    """Empty for requests without a tenant."""
    requests: int
    tokens: int
    """Computed: prompts without what was cached, and answers."""
    share: float
    """Part of the pool's work, a generated token counted twice."""
    money: float
    """Of all that the workers cost, idle time included, by its work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a pool costs. Money of the month unless said otherwise."""

    namespace: str
    name: str
    currency: str
    """Empty where costs are not counted."""
    at: str
    since: str
    per_hour: float | None
    worker_per_hour: float | None
    month: float | None
    forecast: float | None
    """The month's money at its end, at the rate of now."""
    idle: float | None
    """For ready workers on slices that had nothing to do."""
    uses: Mapping[str, float]
    """Money by what it was for."""
    requests: int
    per_thousand_requests: float | None
    per_million_tokens: float | None
    tenants: tuple[Tenant, ...]
    sleepable: float | None
    """What scaling to zero would have saved."""
    cheaper_resource: str
    """A cheaper slice that holds what is in use; empty where none is known."""
    cheaper_per_hour: float | None
    """What the pool's workers would cost less an hour with it."""
    budget: float | None
    budget_workers: int | None
    """Workers that the rest of the budget pays for; None where it caps nothing."""
    unpriced_seconds: float
    uncounted_seconds: float


_USES: Final = ("busy", "idle", "starting", "unread", "fallback", "fallback_idle", "assumed")


def read_cost(pool: Mapping[str, Any]) -> Cost:
    """Return what the status of `pool` says of its cost."""
    status = PoolStatus.read(pool.get("status") or {})
    said, stored = status.cost, read_month(status.cost)
    spec = ((pool.get("spec") or {}).get("cost") or {}).get("budget") or {}
    budget, metadata = read_amount(str(spec.get("perMonth", ""))), pool["metadata"]
    if said is None or stored is None:
        nothing = (None,) * 5
        return Cost(
            metadata["namespace"], metadata["name"], "", "", "", *nothing, {}, 0, None, None, (), None, "", None,
            budget, None, 0.0, 0.0,
        )  # fmt: skip
    spend, worker, cheaper = stored.month.spend, said.worker_per_hour, said.cheaper
    known = stored.rate is not None or spend.total > 0
    hours = max(0.0, month_end(stored.since) - stored.at) / 3600
    return Cost(
        namespace=metadata["namespace"],
        name=metadata["name"],
        currency=said.currency or "",
        at=said.at or "",
        since=said.since or "",
        per_hour=stored.rate,
        worker_per_hour=worker,
        month=spend.total if known else None,
        forecast=None if stored.rate is None else spend.total + stored.rate * hours,
        idle=spend.idle if known else None,
        uses={name: getattr(spend, name) for name in _USES},
        requests=round(stored.month.work.answered),
        per_thousand_requests=per_thousand_requests(spend),
        per_million_tokens=per_million_tokens(spend),
        tenants=_tenants(stored.month),
        sleepable=spend.sleepable if known else None,
        cheaper_resource="" if cheaper is None else cheaper.resource,
        # By workers on slices: the rate has the cores of the CPU fallback in it.
        cheaper_per_hour=None
        if cheaper is None or not worker or stored.rate is None
        else (worker - cheaper.per_hour) * (status.replicas or 0),
        budget=budget,
        budget_workers=said.max_replicas,
        unpriced_seconds=spend.unpriced_seconds,
        uncounted_seconds=spend.uncounted_seconds,
    )


def _tenants(month: Sums) -> tuple[Tenant, ...]:
    shares, money = tenant_shares(month.work), tenant_money(month)
    return tuple(
        Tenant(name, round(found.requests), round(found.computed), shares.get(name, 0.0), money.get(name, 0.0))
        for name, found in sorted(month.work.tenants.items(), key=lambda item: (-item[1].units, item[0]))
    )


@dataclass(frozen=True, slots=True)
class Free:
    """Slices that no pod holds."""

    resource: str
    free: int
    offered: int
    per_hour: float | None
    """What the free ones cost an hour; None while a price is not known."""


def read_free(
    rows: Iterable[NodeSlices], nodes: Iterable[Mapping[str, Any]], pools: Iterable[Mapping[str, Any]]
) -> tuple[Free, ...]:
    """Return the free slices by resource. A node's label prices them, else what a worker of a pool with that slice costs."""
    marks = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in nodes}
    listed: dict[str, float] = {}
    for pool in pools:
        status = PoolStatus.read(pool.get("status") or {})
        if status.cost is not None and status.slice is not None and status.cost.worker_per_hour is not None:
            listed.setdefault(status.slice.resource or "", status.cost.worker_per_hour)
    found: dict[str, list[tuple[int, int, float | None]]] = {}
    for row in rows:
        label = marks.get(row.node, {}).get(f"{LABEL_PREFIX}{row.resource.rpartition('/')[2]}")
        price = listed.get(row.resource) if label is None else read_amount(label)
        # On a node that takes no worker they cost as much.
        free = max(0, row.offered - len(row.holders))
        found.setdefault(row.resource, []).append((free, row.offered, None if price is None else price * free))
    return tuple(_free(resource, parts) for resource, parts in sorted(found.items()))


def _free(resource: str, parts: Sequence[tuple[int, int, float | None]]) -> Free:
    money = [price for free, _, price in parts if free]
    known = [price for price in money if price is not None]
    whole = sum(known) if len(known) == len(money) else None
    return Free(resource, sum(part[0] for part in parts), sum(part[1] for part in parts), whole)
