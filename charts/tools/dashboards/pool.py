"""One pool: state, requests, latency, engine, tenants, gateway, and the GPU slices below its workers."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.devices import devices
from dashboards.panels import OF_PODS, OF_POOL, Panel, Query, board, graph, listing, number, one_pool, query

_QUANTILES = (0.5, 0.95, 0.99)
_LISTENER = f'{OF_PODS},envoy_http_conn_manager_prefix="pool"'


def pool() -> Dashboard:
    """Return the dashboard."""
    return board(
        "slicewise-pool",
        "Slicewise / Pool",
        "One pool: its state, what clients get, and what its workers do.",
        {
            "State": _state(),
            "Requests": _requests(),
            "Latency": _latency(),
            "Engine": _engine(),
            "Tenants": _tenants(),
            "Gateway": _gateway(),
            "GPU slices (DCGM exporter)": devices(),
        },
        *one_pool(),
    )


def _state() -> list[Panel]:
    return [
        number(
            "Workers ready",
            "Of all zones.",
            "none",
            query(f'sum(slicewise_pool_workers{{{OF_POOL},state=~"ready|suspect"}})'),
        ),
        number("Workers wanted", "Of all zones.", "none", query(f"sum(slicewise_pool_workers_wanted{{{OF_POOL}}})")),
        number(
            "Requests that run",
            "At the gateway.",
            "none",
            query(f"sum(envoy_http_downstream_rq_active{{{_LISTENER}}})"),
        ),
        number(
            "Errors in an hour",
            "Part of the requests that ended with 5xx.",
            "percentunit",
            query(f"slicewise:gateway_errors:ratio_rate1h{{{OF_PODS}}}"),
        ),
        number(
            "Late in an hour",
            "Part of the answers that ended after the limit; 5 % is what a p95 allows.",
            "percentunit",
            query(f"slicewise:gateway_late:ratio_rate1h{{{OF_PODS}}}"),
        ),
        number("Workers on GPU", "That compute on one.", "none", query(f"sum(slicewise_worker_on_gpu{{{OF_PODS}}})")),
        listing(
            "Conditions",
            "As they are now.",
            query(f"max by (type, status, reason) (slicewise_pool_condition{{{OF_POOL}}})"),
            width=12,
        ),
        graph(
            "Workers by state",
            "And how many are wanted.",
            "none",
            query(f"sum by (state) (slicewise_pool_workers{{{OF_POOL}}})", "{{state}}"),
            query(f"sum(slicewise_pool_workers_wanted{{{OF_POOL}}})", "wanted"),
        ),
        graph(
            "Ready workers and floor by zone",
            "The floor is what nothing of the operator's own goes below.",
            "none",
            query(f'sum by (zone) (slicewise_pool_workers{{{OF_POOL},state=~"ready|suspect"}})', "{{zone}} ready"),
            query(f"max by (zone) (slicewise_pool_floor{{{OF_POOL}}})", "{{zone}} floor"),
        ),
        graph(
            "Weights",
            "Part of the model that workers which fetch it have.",
            "percentunit",
            query(
                f"max(slicewise_fetch_done_bytes{{{OF_POOL}}}) / (max(slicewise_fetch_total_bytes{{{OF_POOL}}}) > 0)",
                "fetched",
            ),
        ),
    ]


def _requests() -> list[Panel]:
    return [
        graph(
            "Answers to clients",
            "A second, by the first digit of the status.",
            "reqps",
            query(
                f"sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx{{{_LISTENER}}}[$__rate_interval]))",
                "{{envoy_response_code_class}}xx",
            ),
            stacked=True,
        ),
        graph(
            "How sequences end at the workers",
            "A second.",
            "reqps",
            query(
                f"sum by (finish_reason) (rate(slicewise_worker_requests_total{{{OF_PODS}}}[$__rate_interval]))",
                "{{finish_reason}}",
            ),
        ),
        graph(
            "Requests that workers refuse",
            "A second, by error code.",
            "reqps",
            query(f"sum by (code) (rate(slicewise_worker_rejected_total{{{OF_PODS}}}[$__rate_interval]))", "{{code}}"),
        ),
        graph(
            "Errors and late answers",
            "Part of the requests within 5 minutes.",
            "percentunit",
            query(f"slicewise:gateway_errors:ratio_rate5m{{{OF_PODS}}}", "5xx"),
            query(f"slicewise:gateway_late:ratio_rate5m{{{OF_PODS}}}", "after the limit"),
        ),
    ]


def _quantiles(metric: str, selector: str, unit: float = 1) -> list[Query]:
    part = f" / {unit:g}" if unit != 1 else ""
    return [
        query(
            f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{{{selector}}}[$__rate_interval]))){part}",
            f"p{q * 100:g}",
        )
        for q in _QUANTILES
    ]


def _latency() -> list[Panel]:
    return [
        graph(
            "Whole request, at the gateway",
            "From its arrival to the end of the answer.",
            "s",
            *_quantiles("envoy_http_downstream_rq_time", _LISTENER, 1000),
        ),
        graph(
            "Whole request, at the workers",
            "From its arrival to the last token.",
            "s",
            *_quantiles("slicewise_worker_request_duration_seconds", OF_PODS),
        ),
        graph(
            "Time to first token",
            "From a request's arrival at the worker.",
            "s",
            *_quantiles("slicewise_worker_time_to_first_token_seconds", OF_PODS),
        ),
        graph(
            "Time between tokens",
            "Mean of each request.",
            "s",
            *_quantiles("slicewise_worker_time_per_output_token_seconds", OF_PODS),
        ),
    ]


def _engine() -> list[Panel]:
    return [
        graph(
            "Sequences",
            "That run, and that wait for a slot.",
            "none",
            query(f"sum(slicewise_worker_requests_running{{{OF_PODS}}})", "running"),
            query(f"sum(slicewise_worker_requests_waiting{{{OF_PODS}}})", "waiting"),
        ),
        graph(
            "Tokens",
            "A second.",
            "none",
            query(f"sum(rate(slicewise_worker_prompt_tokens_total{{{OF_PODS}}}[$__rate_interval]))", "of prompts"),
            query(
                f"sum(rate(slicewise_worker_cached_prompt_tokens_total{{{OF_PODS}}}[$__rate_interval]))",
                "of prompts, from the cache",
            ),
            query(f"sum(rate(slicewise_worker_generated_tokens_total{{{OF_PODS}}}[$__rate_interval]))", "generated"),
        ),
        graph(
            "KV cache",
            "Part that running sequences use, by worker.",
            "percentunit",
            query(f"max by (pod) (slicewise_worker_kv_cache_usage_ratio{{{OF_PODS}}})", "{{pod}}"),
        ),
        graph(
            "Memory beyond the plan",
            "Part that is taken, of container and slice; above 80 % a worker takes no new requests.",
            "percentunit",
            query(f"max by (pod, memory) (slicewise_worker_memory_pressure_ratio{{{OF_PODS}}})", "{{pod}} {{memory}}"),
        ),
        graph("Duration of a step", "Of the engine.", "s", *_quantiles("slicewise_worker_step_seconds", OF_PODS)),
        graph("Gap of tokens", "Longest of a step.", "s", *_quantiles("slicewise_worker_token_gap_seconds", OF_PODS)),
        graph(
            "Chunk of prompts",
            "Most prompt tokens of a step, by worker.",
            "none",
            query(f"max by (pod) (slicewise_worker_prompt_chunk_tokens{{{OF_PODS}}})", "{{pod}}"),
        ),
        graph(
            "Restarts",
            "Containers of workers that were started again, an hour.",
            "none",
            query(f"sum by (zone) (increase(slicewise_pool_worker_restarts_total{{{OF_POOL}}}[1h]))", "{{zone}}"),
        ),
    ]


def _tenants() -> list[Panel]:
    return [
        graph(
            "Tokens by tenant",
            "A second: of prompts that were computed, and generated.",
            "none",
            query(
                f'sum by (tenant, kind) (rate(slicewise_worker_tenant_tokens_total{{{OF_PODS},kind!="cached"}}[$__rate_interval]))',
                "{{tenant}} {{kind}}",
            ),
            stacked=True,
        ),
        graph(
            "Requests by tenant",
            "That were begun, a second.",
            "reqps",
            query(
                f"sum by (tenant) (rate(slicewise_worker_tenant_queue_seconds_count{{{OF_PODS}}}[$__rate_interval]))",
                "{{tenant}}",
            ),
        ),
        graph(
            "Time in the queue by tenant",
            "Mean, until a request is begun.",
            "s",
            query(
                f"""sum by (tenant) (rate(slicewise_worker_tenant_queue_seconds_sum{{{OF_PODS}}}[$__rate_interval]))
                / sum by (tenant) (rate(slicewise_worker_tenant_queue_seconds_count{{{OF_PODS}}}[$__rate_interval]))""",
                "{{tenant}}",
            ),
        ),
        graph(
            "Response cache",
            "Answers a second, by where they came from.",
            "reqps",
            query(
                f"sum by (outcome) (rate(slicewise_edge_answers_total{{{OF_PODS}}}[$__rate_interval]))", "{{outcome}}"
            ),
        ),
    ]


def _gateway() -> list[Panel]:
    revisions = f'{OF_PODS},envoy_cluster_name=~"rev-.*"'
    return [
        graph(
            "Workers that the gateway uses",
            "Endpoints that pass its health check, by revision.",
            "none",
            query(
                f"max by (envoy_cluster_name) (envoy_cluster_membership_healthy{{{revisions}}})",
                "{{envoy_cluster_name}} healthy",
            ),
            query(
                f"max by (envoy_cluster_name) (envoy_cluster_membership_total{{{revisions}}})",
                "{{envoy_cluster_name}} all",
            ),
        ),
        graph(
            "Tries again, and workers left out",
            "Retries a second, and endpoints that get no request for a while.",
            "none",
            query(f"sum(rate(envoy_cluster_upstream_rq_retry{{{revisions}}}[$__rate_interval]))", "retries a second"),
            query(f"sum(envoy_cluster_outlier_detection_ejections_active{{{revisions}}})", "left out"),
        ),
        graph(
            "Configuration",
            "Gateway pods that run what they should, whose Envoy refuses files, and that reach the API server.",
            "none",
            query(f"sum(slicewise_gateway_programmed{{{OF_PODS}}})", "run it"),
            query(f"sum(slicewise_gateway_files_refused{{{OF_PODS}}})", "files refused"),
            query(f"sum(slicewise_gateway_api_server_reachable{{{OF_PODS}}})", "reach the API server"),
        ),
        graph(
            "Connections of clients",
            "At all gateway pods.",
            "none",
            query(f"sum(envoy_http_downstream_cx_active{{{_LISTENER}}})", "connections"),
        ),
    ]
