"""BudgetAtRisk: how the month's budget stands. Pure."""

from __future__ import annotations

from slicewise.api.v1alpha1 import Reason
from slicewise.cost.budget import Standing
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.cost import budget_cap, budget_of, budget_standing
from slicewise.pool.facts import Facts


def find_budget(facts: Facts) -> ConditionResult | None:
    """Return the condition; None where the spec has no budget. Messages hold no number that changes with every look."""
    spec = budget_of(facts.pool)
    if spec is None:
        return None
    if not facts.observed.installation.counts_costs:
        text = "costs are not counted: name a currency and prices in the chart's values (cost)"
        return ConditionResult("Unknown", Reason.PRICE_UNKNOWN, text)
    found = budget_standing(spec, facts.observed)
    budget = f"the month's budget of {spec.per_month}"
    cap = budget_cap(facts.pool, facts.observed)
    capped = "" if cap is None else f"; the rest pays for {cap} {'worker' if cap == 1 else 'workers'}"
    if found is Standing.SPENT:
        capped = "" if cap is None else "; the pool keeps its least number of workers"
        return ConditionResult("True", Reason.BUDGET_SPENT, f"{budget} is spent{capped}")
    if found is Standing.NEAR:
        return ConditionResult("True", Reason.BUDGET_NEARLY_SPENT, f"{spec.warn_at} of {budget} is spent{capped}")
    if found is Standing.UNKNOWN:
        text = f"{budget} cannot be watched: a price is missing for what the pool holds, or nothing was counted yet"
        return ConditionResult("Unknown", Reason.PRICE_UNKNOWN, text)
    return ConditionResult("False", Reason.WITHIN_BUDGET, f"less than {spec.warn_at} of {budget} is spent")
