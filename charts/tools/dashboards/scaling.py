"""How the number of workers follows the load, requests that wait for a worker, and the CPU fallback."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import OF_PODS, OF_POOL, Panel, board, graph, number, one_pool, query, states


def scaling() -> Dashboard:
    """Return the dashboard."""
    return board(
        "slicewise-scaling",
        "Slicewise / Scaling and fallback",
        "How the number of workers of one pool follows its load, and what serves when no slice does.",
        {
            "Now": _now(),
            "Scaling by load": _workers(),
            "Requests that wait for a worker": _held(),
            "CPU fallback": _fallback(),
        },
        *one_pool(),
    )


def _now() -> list[Panel]:
    return [
        number(
            "Requests",
            "That run or wait.",
            "none",
            query(f"max(slicewise_autoscaling_requests{{{OF_POOL}}})"),
            width=6,
        ),
        number(
            "Workers wanted by the load",
            "At this moment.",
            "none",
            query(f"max(slicewise_autoscaling_wanted_workers{{{OF_POOL}}})"),
            width=6,
        ),
        number(
            "Workers with bounds and hold",
            "That scaling asks for.",
            "none",
            query(f"max(slicewise_autoscaling_workers{{{OF_POOL}}})"),
            width=6,
        ),
        number(
            "Cold start",
            "From a worker's place on a node until it serves.",
            "s",
            query(f"max(slicewise_autoscaling_cold_start_seconds{{{OF_POOL}}})"),
            width=6,
        ),
    ]


def _workers() -> list[Panel]:
    return [
        graph(
            "Workers",
            "That the load asks for, that scaling asks for (acts is no where it only advises), and that are ready.",
            "none",
            query(f"max(slicewise_autoscaling_wanted_workers{{{OF_POOL}}})", "wanted by the load"),
            query(f"max by (acts) (slicewise_autoscaling_workers{{{OF_POOL}}})", "asked for, acts: {{acts}}"),
            query(f'sum(slicewise_pool_workers{{{OF_POOL},state=~"ready|suspect"}})', "ready"),
        ),
        graph(
            "Requests for each worker",
            "And the target.",
            "none",
            query(
                f"""max(slicewise_autoscaling_requests{{{OF_POOL}}})
                        / (sum(slicewise_pool_workers{{{OF_POOL},state=~"ready|suspect"}}) > 0)""",
                "requests",
            ),
            query(f"max(slicewise_autoscaling_target_requests{{{OF_POOL}}})", "target"),
        ),
        graph(
            "Hold",
            "How long the pool keeps the most workers that the load asked for.",
            "s",
            query(f"max(slicewise_autoscaling_hold_seconds{{{OF_POOL}}})", "hold"),
        ),
        states(
            "What scaling is held by",
            "The reason of the condition AutoscalingActive.",
            query(
                f'max by (reason) (slicewise_pool_condition{{{OF_POOL},type="AutoscalingActive"}})',
                "{{reason}}",
            ),
            width=12,
        ),
    ]


def _held() -> list[Panel]:
    return [
        graph(
            "Held requests",
            "That wait for a worker, or are answered after it.",
            "none",
            query(f"sum(slicewise_edge_held_requests{{{OF_PODS}}})", "held"),
        ),
        graph(
            "How waits end",
            "A second: answered, expired, full (refused at once), left by the client.",
            "reqps",
            query(
                f"sum by (outcome) (rate(slicewise_edge_held_total{{{OF_PODS}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
        ),
        graph(
            "Time that requests wait",
            "The median and one in twenty.",
            "s",
            *(
                query(
                    f"""histogram_quantile({q}, sum by (le)
                    (rate(slicewise_edge_held_seconds_bucket{{{OF_PODS}}}[$__rate_interval])))""",
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.95)
            ),
            width=24,
        ),
    ]


def _fallback() -> list[Panel]:
    return [
        states(
            "State of the fallback",
            "The reason of the condition FallbackActive.",
            query(f'max by (reason) (slicewise_pool_condition{{{OF_POOL},type="FallbackActive"}})', "{{reason}}"),
            width=12,
        ),
        graph(
            "Requests that the fallback answers",
            "A second.",
            "reqps",
            query(f"sum(rate(envoy_slicewise_aside{{{OF_PODS}}}[$__rate_interval]))", "to the fallback"),
        ),
        graph(
            "Switches of all pools",
            "In an hour, by what serves from then on.",
            "none",
            query("sum by (to) (increase(slicewise_fallback_switches_total[1h]))", "to {{to}}"),
            width=24,
        ),
    ]
