"""CDS: one Envoy cluster a revision. Its workers come from an endpoint file, which the agent writes."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.affinity import ring_hash
from slicewise.envoy.discovery import CLUSTER, TYPE, Json, from_file, response
from slicewise.envoy.model import (
    EDGE_CLUSTER,
    HELD_HEADER,
    JOBS_CLUSTER,
    NOT_STARTED_HEADER,
    WORKER_HEALTHY_HEADER,
    GatewayModel,
    Jobs,
    cluster_name,
)

HEALTH_INTERVAL: Final = "1s"
_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_WELL: Final = (NOT_STARTED_HEADER, WORKER_HEALTHY_HEADER, HELD_HEADER)
OTLP_CLUSTER: Final = "opentelemetry"


def build_cds(model: GatewayModel) -> Json:
    """Return the clusters: a revision each, sorted by name; the edge's cache and the trace collector when there is one."""
    revisions = sorted(route.revision for route in model.routes)
    clusters = [_revision_cluster(model, revision) for revision in revisions]
    if model.edge is not None and model.cache is not None:
        clusters.append(_edge_cluster(model, model.edge.address, model.cache.port))
    if model.jobs is not None:
        clusters.append(_jobs_cluster(model, model.jobs))
    if model.otlp is not None:
        clusters.append(_otlp_cluster(*model.otlp))
    return response(CLUSTER, clusters)


def eds_file(cluster: str) -> str:
    """Return the name of a cluster's endpoint file. One each: Envoy refuses a file with two."""
    return f"eds-{cluster}.json"


def _revision_cluster(model: GatewayModel, revision: str) -> Json:
    name = cluster_name(revision)
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": from_file(model.directory, eds_file(name))},
        "connect_timeout": "0.5s",
        "load_balancing_policy": ring_hash() if model.affinity else _least_request(),
        "common_lb_config": {
            # With the default, half of the workers dead makes Envoy send to the dead ones again.
            "healthy_panic_threshold": {"value": 0},
            # With the default, the second change of health within a second is not reported until the second is over.
            "update_merge_window": "0s",
        },
        # A worker that is taken out of the file gets no request more, whatever its health check says.
        "ignore_health_on_host_removal": True,
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": {"thresholds": [_thresholds(model)]},
        "per_connection_buffer_limit_bytes": 32768,
        "typed_extension_protocol_options": {_HTTP: _http_options()},
    }


def _least_request() -> Json:
    return {
        "policies": [
            {
                "typed_extension_config": {
                    "name": "envoy.load_balancing_policies.least_request",
                    "typed_config": {
                        "@type": f"{TYPE}/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
                        # Pools are small and requests are long: looking at every worker costs nothing beside them.
                        "selection_method": "FULL_SCAN",
                    },
                }
            }
        ]
    }


def _edge_cluster(model: GatewayModel, address: str, port: int) -> Json:
    """The edge, and behind it Envoy's own internal listener: an edge that is gone costs a cache, not a request."""
    levels = [(address, port), ("127.0.0.1", model.ports.internal)]
    return {
        "name": EDGE_CLUSTER,
        "type": "STATIC",
        # On the loopback an edge that is gone refuses at once; what takes long is a machine that is busy, and a crowd that
        # goes past the edge then asks the workers each for itself.
        "connect_timeout": "5s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [_health_check()],
        "outlier_detection": {
            **_outlier_detection(),
            # What workers answer passes the edge; only its own silence counts against it.
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_consecutive_5xx": 0,
        },
        "circuit_breakers": {"thresholds": [_thresholds(model)]},
        "per_connection_buffer_limit_bytes": 32768,
        "load_assignment": {
            "cluster_name": EDGE_CLUSTER,
            "endpoints": [
                {
                    "priority": priority,
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": number}}}}
                    ],
                }
                for priority, (host, number) in enumerate(levels)
            ],
        },
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"{TYPE}/{_HTTP}",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": "60s"},
            }
        },
    }


def _jobs_cluster(model: GatewayModel, jobs: Jobs) -> Json:
    """The API of jobs: an address for each pod that is ready, by the name of a headless Service."""
    address = {"socket_address": {"address": jobs.host, "port_value": jobs.port}}
    return {
        "name": JOBS_CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "ALL",
        # A pod that goes stops taking connections some seconds after it has left the name.
        "dns_refresh_rate": "2s",
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "2s"},
        # A name that cannot be found yet holds up no worker.
        "wait_for_warm_on_init": False,
        "connect_timeout": "1s",
        "load_balancing_policy": _least_request(),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # No outlier detection: to that, a socket that the API closes before its client does is an API that has gone, so that any
        # client could take it away from all others. Its errors are about the database, or the request.
        "health_checks": [{**_check_times(), "tcp_health_check": {}}],
        "circuit_breakers": {"thresholds": [_thresholds(model)]},
        "per_connection_buffer_limit_bytes": 32768,
        "load_assignment": {
            "cluster_name": JOBS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"{TYPE}/{_HTTP}",
                "explicit_http_config": {"http_protocol_options": {}},
                # Shorter than the API keeps a connection without a request.
                "common_http_protocol_options": {"idle_timeout": "60s"},
            }
        },
    }


def _health_check() -> Json:
    return {**_check_times(), "http_health_check": {"path": "/readyz"}}


def _check_times() -> Json:
    return {
        "timeout": "1s",
        "interval": HEALTH_INTERVAL,
        "no_traffic_interval": HEALTH_INTERVAL,
        "no_traffic_healthy_interval": HEALTH_INTERVAL,
        "unhealthy_edge_interval": "0.2s",
        # A refusal counts at once; only a check that gets no answer is made again.
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _outlier_detection() -> Json:
    return {
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 100,
        "split_external_local_origin_errors": True,
        # No answer at all: the process is gone, or is going.
        "consecutive_local_origin_failure": 1,
        "enforcing_consecutive_local_origin_failure": 100,
        "consecutive_gateway_failure": 3,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_5xx": 5,
        "enforcing_consecutive_5xx": 100,
        # These need more workers and requests than a pool has.
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_failure_percentage": 0,
    }


def _thresholds(model: GatewayModel) -> Json:
    return {
        "max_connections": model.max_connections,
        "max_requests": model.max_connections,
        "max_pending_requests": model.max_connections,
        # The share of running requests that may be retries: a broken revision must not double its own load. The number holds in
        # small pools, where one worker is more than a fifth: what runs on it when it dies is tried again at once.
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 25},
    }


def _http_options() -> Json:
    failed = {
        "http_response_headers_match": {
            "headers": [{"name": ":status", "string_match": {"safe_regex": {"regex": "5[0-9][0-9]"}}}]
        }
    }
    return {
        "@type": f"{TYPE}/{_HTTP}",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
        "common_http_protocol_options": {"idle_timeout": "60s"},
        # A worker whose queue is full is well, and so is one that had too little time for what a client asked, and an edge that
        # held a request without success. Else clients with long requests could empty a pool.
        "outlier_detection": {"error_matcher": {"and_match": {"rules": [failed, *map(_without, _WELL)]}}},
    }


def _without(header: str) -> Json:
    return {"http_response_headers_match": {"headers": [{"name": header, "present_match": True, "invert_match": True}]}}


def _otlp_cluster(host: str, port: int) -> Json:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "name": OTLP_CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": OTLP_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            _HTTP: {"@type": f"{TYPE}/{_HTTP}", "explicit_http_config": {"http2_protocol_options": {}}}
        },
    }
