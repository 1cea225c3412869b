"""All pools and slices, and the operator that looks after them."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import Panel, board, graph, listing, number, query

_SERVING = 'slicewise_pool_condition{type="Ready",status="True"}'


def fleet() -> Dashboard:
    """Return the dashboard."""
    return board(
        "slicewise-fleet",
        "Slicewise / Fleet and slices",
        "All pools, the slices of the cluster, and the operator.",
        {
            "Now": _now(),
            "Slices": _slices(),
            "Pools": _pools(),
            "Operator": _operator(),
        },
    )


def _now() -> list[Panel]:
    return [
        number("Pools", "Pools that exist.", "none", query("sum(slicewise_pools)")),
        number("Pools that are ready", "Condition Ready.", "none", query(f"sum({_SERVING}) or vector(0)")),
        number("Slices held", "By workers of pools.", "none", query('sum(slicewise_slices{state="held"})')),
        number(
            "Slices open",
            "On nodes that take workers, and held by none of ours.",
            "none",
            query('sum(slicewise_slices{state="open"})'),
        ),
        number(
            "Slices closed",
            "On nodes that take none now.",
            "none",
            query('sum(slicewise_slices{state="closed"})'),
        ),
        number("Replicas that act", "Of the operator: one.", "none", query("sum(slicewise_leader)")),
    ]


def _slices() -> list[Panel]:
    return [
        graph(
            "Slices by state",
            "Held by workers, open, or on nodes that take none now.",
            "none",
            query("sum by (resource, state) (slicewise_slices)", "{{resource}} {{state}}"),
            stacked=True,
        ),
        graph(
            "Slices held by zone",
            "Where the workers are.",
            "none",
            query('sum by (zone, resource) (slicewise_slices{state="held"})', "{{zone}} {{resource}}"),
            stacked=True,
        ),
    ]


def _pools() -> list[Panel]:
    return [
        listing(
            "What pools run",
            "Model, slice and revisions.",
            query("max by (namespace, pool, model, resource, stable, canary) (slicewise_pool_info)"),
        ),
        listing(
            "Conditions that need a look",
            "Conditions that say that something is wrong, as they are now.",
            query(
                """max by (namespace, pool, type, reason) (
                        slicewise_pool_condition{type=~"Ready|Accepted|CapacityAvailable|WorkersReady|WeightsCached|GatewayProgrammed",status="False"}
                        or slicewise_pool_condition{type=~"Stalled|Degraded|DrainBlocked|FallbackActive",status="True"})"""
            ),
        ),
        graph(
            "Pools by the reason of Ready",
            "AllWorkersReady is the aim; Suspended and ScaledToZero are meant.",
            "none",
            query("max by (reason) (slicewise_pools)", "{{reason}}"),
            stacked=True,
        ),
        graph(
            "Workers by state",
            "Of all pools.",
            "none",
            query("sum by (state) (slicewise_pool_workers)", "{{state}}"),
            stacked=True,
        ),
        graph(
            "Workers missing to the floor",
            "By pool and zone; 0 is right.",
            "none",
            query(
                """clamp_min(max by (namespace, pool, zone) (slicewise_pool_floor)
                        - (sum by (namespace, pool, zone) (slicewise_pool_workers{state=~"ready|suspect"})
                        or max by (namespace, pool, zone) (slicewise_pool_floor) * 0), 0)""",
                "{{namespace}}/{{pool}} {{zone}}",
            ),
        ),
        graph(
            "Drains that wait",
            "Cordoned nodes whose worker cannot go, by pool and zone.",
            "none",
            query(
                "sum by (namespace, pool, zone) (slicewise_pool_drains_blocked) > 0",
                "{{namespace}}/{{pool}} {{zone}}",
            ),
        ),
        graph(
            "Workers removed",
            "By reason, an hour.",
            "none",
            query("sum by (reason) (increase(slicewise_pods_removed_total[1h]))", "{{reason}}"),
        ),
        graph(
            "Restarts of workers",
            "Containers that were started again, an hour.",
            "none",
            query(
                "sum by (namespace, pool) (increase(slicewise_pool_worker_restarts_total[1h])) > 0",
                "{{namespace}}/{{pool}}",
            ),
        ),
    ]


def _operator() -> list[Panel]:
    return [
        graph(
            "Reconciles",
            "A second, by result.",
            "ops",
            query("sum by (result) (rate(slicewise_reconcile_total[$__rate_interval]))", "{{result}}"),
        ),
        graph(
            "Duration of a reconcile",
            "The median and one in twenty.",
            "s",
            *(
                query(
                    f"histogram_quantile({q}, sum by (le) (rate(slicewise_reconcile_duration_seconds_bucket[$__rate_interval])))",
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.95)
            ),
        ),
        graph(
            "Requests to the API server",
            "A second, by code; 0 is no answer.",
            "reqps",
            query("sum by (code) (rate(slicewise_api_requests_total[$__rate_interval]))", "{{code}}"),
        ),
        graph(
            "Work queue",
            "Pools that wait for a reconcile, and reconciles that run.",
            "none",
            query("max(slicewise_pools_waiting)", "waiting"),
            query("max(slicewise_reconciles_running)", "running"),
        ),
    ]
