"""Cases of `spec.cost` for `pool_cases.py`."""

from __future__ import annotations

from pool_cases import Case, _percent, _value

_MONEY_WORDS = "is not an amount of money: write digits, such as 300 or 49.50, without the currency"
_CAPPED = {"budget": {"perMonth": 300, "capReplicas": True}}

COST_CASES = (
    _value("cost.budget.perMonth", "49.50", "50 USD", f"'50 USD' {_MONEY_WORDS}"),
    _value("cost.budget.perMonth", 300, 0, f"'0' {_MONEY_WORDS}"),
    _percent("cost.budget.warnAt", "1", "100", "80%", "0.8", budget={"perMonth": 300}),
    Case(
        "cost.budget.capReplicas",
        {"cost": _CAPPED, "autoscaling": {"maxReplicas": 4}},
        {"cost": _CAPPED},
        "spec.cost.budget.capReplicas",
        "capReplicas lowers spec.autoscaling.maxReplicas to what 300 pays for, and the pool has no spec.autoscaling: add it, or "
        "write false",
    ),
)
