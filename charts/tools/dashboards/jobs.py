"""Jobs of a pool: what is accepted, what becomes of it, and the database."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import OF_PODS, OF_POOL, Panel, Query, board, graph, number, one_pool, query, states


def jobs() -> Dashboard:
    """Return the dashboard."""
    return board(
        "slicewise-jobs",
        "Slicewise / Jobs",
        "Requests of one pool that may wait: accepted, run, ended. kubectl slicewise has the backlog by tenant.",
        {"Now": _now(), "Accepted": _accepted(), "Run": _run(), "Database": _database()},
        *one_pool(),
    )


def _now() -> list[Panel]:
    return [
        number("Run", "By all dispatchers.", "none", query(f"sum(slicewise_dispatcher_running{{{OF_PODS}}})"), width=6),
        number(
            "May run",
            "Less than all slots while the gateway has no room.",
            "none",
            query(f"sum(slicewise_dispatcher_limit{{{OF_PODS}}})"),
            width=6,
        ),
        number(
            "Dispatchers",
            "That are connected to an API, and so woken by a new job.",
            "none",
            query(f"max(slicewise_jobs_dispatchers{{{OF_PODS}}})"),
            width=6,
        ),
        number(
            "Dead",
            "In the last hour: the last attempt failed, or its dispatcher was lost.",
            "none",
            query(
                f"""sum(increase(slicewise_dispatcher_attempts_total{{{OF_PODS},fate="dead"}}[1h])
                or increase(slicewise_dispatcher_by_time_total{{{OF_PODS},kind="dead"}}[1h]))"""
            ),
            width=6,
        ),
    ]


def _accepted() -> list[Panel]:
    return [
        graph(
            "Jobs that clients send",
            "A second, by what became of them: accepted, repeated, conflict, invalid, backlog, busy, unavailable.",
            "reqps",
            query(
                f"sum by (outcome) (rate(slicewise_jobs_submitted_total{{{OF_PODS}}}[$__rate_interval]))", "{{outcome}}"
            ),
        ),
        graph(
            "Time to the commit",
            "From a job's arrival until it is durable: the median, and one in a hundred.",
            "s",
            *_quantiles("slicewise_jobs_submit_seconds_bucket", 0.5, 0.99),
        ),
    ]


def _run() -> list[Panel]:
    return [
        graph(
            "Attempts",
            "A second, by what became of them: done, failed, again, dead, refused (no room), lost, returned.",
            "reqps",
            query(
                f"sum by (fate) (rate(slicewise_dispatcher_attempts_total{{{OF_PODS}}}[$__rate_interval]))", "{{fate}}"
            ),
        ),
        graph(
            "Wait until the first attempt",
            "The median, and one in twenty.",
            "s",
            *_quantiles("slicewise_dispatcher_waited_seconds_bucket", 0.5, 0.95),
        ),
        graph(
            "Jobs that run",
            "And how many may.",
            "none",
            query(f"sum(slicewise_dispatcher_running{{{OF_PODS}}})", "run"),
            query(f"sum(slicewise_dispatcher_limit{{{OF_PODS}}})", "may run"),
        ),
        graph(
            "What time did",
            "A second: leases that ended (a dispatcher was lost), waits that were over, expired, deleted.",
            "reqps",
            query(
                f"sum by (kind) (rate(slicewise_dispatcher_by_time_total{{{OF_PODS}}}[$__rate_interval]))", "{{kind}}"
            ),
        ),
    ]


def _database() -> list[Panel]:
    return [
        states(
            "Jobs are available",
            "The reason of the condition JobsAvailable.",
            query(f'max by (reason) (slicewise_pool_condition{{{OF_POOL},type="JobsAvailable"}})', "{{reason}}"),
            width=12,
        ),
        graph(
            "Transactions that the database did not do",
            "A second, of dispatchers.",
            "none",
            query(f"sum(rate(slicewise_dispatcher_database_errors_total{{{OF_PODS}}}[$__rate_interval]))", "failed"),
        ),
    ]


def _quantiles(series: str, *quantiles: float) -> list[Query]:
    return [
        query(
            f"histogram_quantile({each}, sum by (le) (rate({series}{{{OF_PODS}}}[$__rate_interval])))",
            f"p{each * 100:g}",
        )
        for each in quantiles
    ]
