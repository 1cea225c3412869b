"""A rollout over time: phase, weight, the evidence of the gate, and what it rests on."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import OF_PODS, OF_POOL, Panel, board, graph, listing, number, one_pool, query, states


def rollout() -> Dashboard:
    """Return the dashboard."""
    return board(
        "slicewise-rollout",
        "Slicewise / Rollout",
        "The rollout of one pool, and how the gate judges its canary.",
        {
            "Now": _now(),
            "Progress": _progress(),
            "Evidence": _evidence(),
            "What workers of each revision do": _revisions(),
            "How rollouts of all pools end": _outcomes(),
        },
        *one_pool(),
    )


def _now() -> list[Panel]:
    return [
        number(
            "Weight of the canary",
            "Part of the requests that it gets.",
            "percentunit",
            query(f"max(slicewise_rollout_weight_ratio{{{OF_POOL}}})"),
            width=6,
        ),
        number(
            "Requests of the canary",
            "That the verdict rests on.",
            "none",
            query(f'max(slicewise_rollout_requests{{{OF_POOL},version="canary",kind="requests"}})'),
            width=6,
        ),
        listing(
            "Revisions",
            "What the pool runs.",
            query(f"max by (model, stable, canary) (slicewise_pool_info{{{OF_POOL}}})"),
            width=12,
        ),
    ]


def _progress() -> list[Panel]:
    return [
        states(
            "Phase",
            "The phase that the rollout was in.",
            query(f"max by (phase) (slicewise_rollout_phase{{{OF_POOL}}})", "{{phase}}"),
        ),
        graph(
            "Weight",
            "Part of the requests that the canary gets.",
            "percentunit",
            query(f"max(slicewise_rollout_weight_ratio{{{OF_POOL}}})", "canary"),
        ),
        graph(
            "What the verdict rests on",
            "Requests of canary and stable, by kind.",
            "none",
            query(f"max by (version, kind) (slicewise_rollout_requests{{{OF_POOL}}})", "{{version}} {{kind}}"),
        ),
    ]


def _evidence() -> list[Panel]:
    return [
        graph(
            "Evidence of the gate",
            "Each against what its name denies; 1 says nothing. At which values it decides is in docs/gate.md.",
            "none",
            query(f"max by (kind) (slicewise_rollout_evidence{{{OF_POOL}}})", "{{kind}}"),
            width=24,
            log=True,
        ),
    ]


def _revisions() -> list[Panel]:
    # Envoy names a counter of an outcome with its first event.
    late, fast = (
        f"sum by (slicewise_cluster) (rate(envoy_slicewise_{name}{{{OF_PODS}}}[$__rate_interval]))"
        for name in ("late", "fast")
    )
    return [
        graph(
            "Tries",
            "A second, by revision.",
            "reqps",
            query(
                f"""sum by (envoy_cluster_name)
                    (rate(envoy_cluster_upstream_rq_total{{{OF_PODS},envoy_cluster_name=~"rev-.*"}}[$__rate_interval]))""",
                "{{envoy_cluster_name}}",
            ),
        ),
        graph(
            "Failed",
            "Requests a second that ended with 5xx, a time-out or a broken answer, by revision.",
            "reqps",
            query(
                f"sum by (slicewise_cluster) (rate(envoy_slicewise_failed{{{OF_PODS}}}[$__rate_interval]))",
                "{{slicewise_cluster}}",
            ),
        ),
        graph(
            "Late",
            "Part of the answers that ended after the limit, by revision.",
            "percentunit",
            query(
                f"({late} or {fast} * 0) / (({late} or {fast} * 0) + ({fast} or {late} * 0))",
                "{{slicewise_cluster}}",
            ),
        ),
        graph(
            "Duration of tries, p95",
            "By revision.",
            "ms",
            query(
                f"""histogram_quantile(0.95, sum by (le, envoy_cluster_name)
                        (rate(envoy_cluster_upstream_rq_time_bucket{{{OF_PODS},envoy_cluster_name=~"rev-.*"}}[$__rate_interval])))""",
                "{{envoy_cluster_name}}",
            ),
        ),
    ]


def _outcomes() -> list[Panel]:
    return [
        graph(
            "Outcomes in a day",
            "By outcome and reason.",
            "none",
            query(
                "sum by (outcome, reason) (increase(slicewise_rollout_outcomes_total[1d]))",
                "{{outcome}} {{reason}}",
            ),
        ),
        graph(
            "Duration",
            "From the start of a rollout to its outcome, median of a day.",
            "s",
            query(
                "histogram_quantile(0.5, sum by (le, outcome) (increase(slicewise_rollout_duration_seconds_bucket[1d])))",
                "{{outcome}}",
            ),
        ),
    ]
