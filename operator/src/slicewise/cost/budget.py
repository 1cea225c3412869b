"""Budgets: how much of a month's money is spent, and how many workers the rest pays for. Pure.

The cap is what the rest of the budget pays for evenly until the month ends. So what was not spent, as over a quiet night, can be spent
later in the month, and a pool that keeps to the cap ends the month within its budget, as far as floors and `minReplicas` let it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import floor
from typing import Final

MARGIN: Final = 0.1
"""Part of a worker that there must be money for beyond a whole one before the cap rises, so that it does not go to and fro."""
LEAST_HOURS: Final = 1.0
"""Of the month that are taken to be left: in the last hour a small rest would pay for any number of workers."""


class Standing(Enum):
    """How a budget stands."""

    WITHIN = "within"
    NEAR = "near"
    """What a warning was asked for is spent."""
    SPENT = "spent"
    """All of it is spent, or more."""
    UNKNOWN = "unknown"
    """A price is not known, so more is spent than is counted."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Money for a calendar month (UTC)."""

    amount: float
    warn_at: float = 0.8
    """Part of it from which on there is a warning."""


def standing(budget: Budget, spent: float, *, priced: bool) -> Standing:
    """Return how the budget stands. What is spent only rises in a month, so this goes one way; `priced`: whether all prices are known."""
    if spent >= budget.amount:
        return Standing.SPENT
    if spent >= budget.warn_at * budget.amount:
        return Standing.NEAR
    return Standing.WITHIN if priced else Standing.UNKNOWN


def workers_paid(
    budget: Budget, spent: float, price: float | None, seconds_left: float, before: int | None
) -> int | None:
    """Return the workers that the rest of the budget pays for until the month ends; None where no number follows.

    `price`: of one worker an hour; `before`: the number so far. No number follows from a price that is not known, or is 0.
    """
    if not price:
        return None
    hours = max(LEAST_HOURS, seconds_left / 3600.0)
    paid = max(0.0, budget.amount - spent) / (price * hours)
    if before is not None and before < floor(paid) and paid < before + 1 + MARGIN:
        return before
    return floor(paid)
