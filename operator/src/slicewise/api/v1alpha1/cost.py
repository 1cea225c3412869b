"""`spec.cost`: what a pool may cost."""

from __future__ import annotations

from typing import Annotated, Final

from slicewise.api.rules import Rule, cel_matches, matches
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import Flag, Percent, Quantity

_MONEY: Final = "^[0-9]{1,9}([.][0-9]{1,2})?$"
Money = Annotated[
    Quantity,
    Rule(
        cel=f"{cel_matches(_MONEY, 'string(self)')} && double(string(self)) > 0.0",
        holds=lambda text: matches(_MONEY)(text) and float(text) > 0,
        message="'{value}' is not an amount of money: write digits, such as 300 or 49.50, without the currency",
        expects="an amount of money, such as 300 or 49.50",
    ),
]


class BudgetSpec(ApiModel):
    """Money for each calendar month (UTC), in the currency of the installation's prices."""

    per_month: Money
    """The amount, such as 300."""
    warn_at: Percent = "80%"
    """Part of it from which on `BudgetAtRisk` warns."""
    cap_replicas: Flag = False
    """Whether `autoscaling.maxReplicas` is lowered to what the rest of the budget pays for; never below 1, `minReplicas` or the
    floors."""


class CostSpec(ApiModel):
    """What the pool may cost."""

    budget: BudgetSpec | None = None
