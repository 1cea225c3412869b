"""Figures: what follows from the sums of a pool. Pure. A figure that cannot be known is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping

from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import Work


def per_thousand_requests(spend: Spend) -> float | None:
    """Return the money for 1,000 answered requests; None before one was answered by a worker whose price is known."""
    return spend.metered / spend.paid_requests * 1e3 if spend.paid_requests > 0 else None


def per_million_tokens(spend: Spend) -> float | None:
    """Return the money for 1,000,000 tokens, prompts as far as they were evaluated and answers; None before there was one."""
    return spend.metered / spend.paid_tokens * 1e6 if spend.paid_tokens > 0 else None


def tenant_shares(work: Work) -> Mapping[str, float]:
    """Return tenant → part of the pool's work, in units of work (see `Tokens.units`); they add up to 1. Empty without work."""
    units = {name: tokens.units for name, tokens in work.tenants.items()}
    whole = sum(units.values())
    return {name: unit / whole for name, unit in units.items()} if whole > 0 else {}


def tenant_money(sums: Sums) -> Mapping[str, float]:
    """Return tenant → money of all that the pool's workers cost: its own, and by its part of the work a part of what is of no tenant.

    They add up to `Spend.metered`, idle time included. Empty without work.
    """
    rest = sums.spend.metered - sums.work.tokens.spend
    own = {name: tokens.spend for name, tokens in sums.work.tenants.items()}
    return {name: own[name] + share * rest for name, share in tenant_shares(sums.work).items()}
