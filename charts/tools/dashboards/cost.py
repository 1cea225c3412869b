"""What pools, tenants and idle slices cost."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import Panel, board, graph, listing, number, query, variable

_PAID = 'use!="assumed"'
_SCOPE = 'namespace=~"$namespace"'
_BY = "{{namespace}}/{{pool}}"


def cost() -> Dashboard:
    """Return the dashboard."""
    every = variable("namespace", "Namespace", "label_values(slicewise_pool_info, namespace)")
    return board(
        "slicewise-cost",
        "Slicewise / Cost",
        "Estimates by the prices that the chart was given; the currency is in the first panel. A price that is not known has no number.",
        {
            "Now": _now(),
            "Pools": _pools(),
            "Budgets": _budgets(),
            "Idle": _idle(),
            "Tenants": _tenants(),
        },
        every.multi(True).include_all(True),
    )


def _now() -> list[Panel]:
    return [
        listing("Currency", "Of all amounts.", query("max by (currency) (slicewise_cost_info)"), width=4),
        number(
            "Pools, an hour",
            "What they hold.",
            "none",
            query(f"sum(slicewise_cost_pool_per_hour{{{_SCOPE}}})"),
            width=5,
        ),
        number(
            "Open slices, an hour",
            "On nodes that take workers, and held by none of ours.",
            "none",
            query('sum(slicewise_cost_slices_per_hour{state="open"})'),
            width=5,
        ),
        number(
            "This month",
            "Since costs are counted.",
            "none",
            query(f"sum(slicewise_cost_pool_month_spend{{{_SCOPE}}})"),
            width=5,
        ),
        number(
            "Seconds without a price",
            "Of workers, in a day; their money is in no amount.",
            "s",
            query(f"sum(increase(slicewise_cost_pool_unpriced_seconds_total{{{_SCOPE}}}[1d]))"),
            width=5,
        ),
    ]


def _pools() -> list[Panel]:
    return [
        graph(
            "Money an hour",
            "By pool.",
            "none",
            query(f"max by (namespace, pool) (slicewise_cost_pool_per_hour{{{_SCOPE}}})", _BY),
            stacked=True,
        ),
        graph(
            "Money by use",
            "In an hour: busy, idle, starting and unread on slices; fallback and fallback_idle on CPU; assumed.",
            "none",
            query(f"sum by (use) (increase(slicewise_cost_pool_spend_total{{{_SCOPE}}}[1h]))", "{{use}}"),
            stacked=True,
        ),
        graph(
            "1,000 requests",
            "Money for workers on slices and CPU, for 1,000 answered requests, over six hours.",
            "none",
            query(
                f"""sum by (namespace, pool) (increase(slicewise_cost_pool_spend_total{{{_SCOPE},{_PAID}}}[6h]))
                        / (sum by (namespace, pool) (increase(slicewise_cost_pool_paid_requests_total{{{_SCOPE}}}[6h])) > 0) * 1000""",
                _BY,
            ),
        ),
        graph(
            "1 M tokens",
            "Money for workers on slices and CPU, for a million tokens that they computed, over six hours.",
            "none",
            query(
                f"""sum by (namespace, pool) (increase(slicewise_cost_pool_spend_total{{{_SCOPE},{_PAID}}}[6h]))
                        / (sum by (namespace, pool) (increase(slicewise_cost_pool_paid_tokens_total{{{_SCOPE}}}[6h])) > 0) * 1000000""",
                _BY,
            ),
        ),
        graph(
            "What scaling to zero would have saved",
            "In a day, by pool.",
            "none",
            query(
                f"sum by (namespace, pool) (increase(slicewise_cost_pool_sleepable_spend_total{{{_SCOPE}}}[1d]))",
                _BY,
            ),
        ),
        graph(
            "This month",
            "By pool, since costs are counted.",
            "none",
            query(f"max by (namespace, pool) (slicewise_cost_pool_month_spend{{{_SCOPE}}})", _BY),
        ),
    ]


def _budgets() -> list[Panel]:
    return [
        graph(
            "Part of the month's budget that is spent",
            "By pool; only of pools with a budget.",
            "percentunit",
            query(f"max by (namespace, pool) (slicewise_cost_budget_spent_ratio{{{_SCOPE}}})", _BY),
        ),
        graph(
            "Budget of the month",
            "By pool.",
            "none",
            query(f"max by (namespace, pool) (slicewise_cost_budget_month{{{_SCOPE}}})", _BY),
        ),
    ]


def _idle() -> list[Panel]:
    return [
        graph(
            "Slices by state",
            "Money an hour.",
            "none",
            query("sum by (state, resource) (slicewise_cost_slices_per_hour)", "{{resource}} {{state}}"),
            stacked=True,
        ),
        graph(
            "Idle part of pools",
            "Money for workers on slices and CPU that computed nothing, as part of all, over six hours.",
            "percentunit",
            query(
                f"""sum by (namespace, pool) (increase(slicewise_cost_pool_spend_total{{{_SCOPE},use=~"idle|fallback_idle"}}[6h]))
                        / (sum by (namespace, pool) (increase(slicewise_cost_pool_spend_total{{{_SCOPE}}}[6h])) > 0)""",
                _BY,
            ),
        ),
    ]


def _tenants() -> list[Panel]:
    return [
        graph(
            "Money",
            "For workers while they were busy, in an hour.",
            "none",
            query(f"sum by (tenant) (increase(slicewise_cost_tenant_spend_total{{{_SCOPE}}}[1h]))", "{{tenant}}"),
            stacked=True,
        ),
        graph(
            "Tokens",
            "In an hour, by kind.",
            "none",
            query(
                f"sum by (tenant, kind) (increase(slicewise_cost_tenant_tokens_total{{{_SCOPE}}}[1h]))",
                "{{tenant}} {{kind}}",
            ),
        ),
    ]
