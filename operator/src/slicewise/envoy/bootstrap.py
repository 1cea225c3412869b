"""The one file that Envoy is started with: where the others are, its admin interface, its limits, its histograms."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import Json, from_file
from slicewise.envoy.listener import ADMIN_CLUSTER
from slicewise.envoy.model import MAX_REQUEST_SECONDS, GatewayModel
from slicewise.envoy.overload import build_overload
from slicewise.envoy.routes import RUNTIME_LAYER

BOOTSTRAP_FILE: Final = "bootstrap.json"

LATENCY_BUCKETS_MS: Final = (
    5, 10, 25, 50, 100, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 20000, 30000, 60000, 120000, 300000,
)  # fmt: skip
"""Upper bounds of the latency histograms' buckets in milliseconds, before the pool's own limit is put between them."""


def bucket_ms(p95_seconds: float) -> float:
    """Return the bucket boundary for a limit, in whole milliseconds, as Envoy measures; at least one."""
    return float(max(1, round(p95_seconds * 1000)))


def envoy_arguments(model: GatewayModel) -> tuple[str, ...]:
    """Return what Envoy is started with, after the program's name."""
    return (
        "--config-path",
        f"{model.directory}/{BOOTSTRAP_FILE}",
        "--concurrency",
        str(model.concurrency),
        # Its shared memory is neither writable nor needed in a pod.
        "--disable-hot-restart",
        # Who drains wants every client to leave with its next answer, not one in ten.
        "--drain-strategy",
        "immediate",
        # A listener that was changed lives on until its last request may have ended.
        "--drain-time-s",
        str(MAX_REQUEST_SECONDS + 10),
        "--log-level",
        "warn",
    )


def build_bootstrap(model: GatewayModel) -> Json:
    """Return the bootstrap. A change of it is seen only by a new pod, so it holds no more than it must."""
    buckets = {float(edge) for edge in LATENCY_BUCKETS_MS}
    if model.p95_seconds is not None:
        buckets.add(bucket_ms(model.p95_seconds))
    return {
        "node": {"id": f"gateway-{model.pool}", "cluster": model.pool},
        "admin": {
            "address": _address("127.0.0.1", model.ports.admin),
            "profile_path": "/dev/null",
            # Whoever looks after Envoy can do so however many clients there are.
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {
            "cds_config": from_file(model.directory, "cds.json"),
            "lds_config": from_file(model.directory, "lds.json"),
        },
        "static_resources": {"clusters": [_admin_cluster(model)]},
        "layered_runtime": {
            "layers": [
                {
                    "name": "streams",
                    # A connection whose client takes most of its requests back at once is closed (HTTP/2 rapid reset), and one
                    # with many requests ready leaves time for the others.
                    "static_layer": {
                        "overload.premature_reset_total_stream_count": 200,
                        "http.max_requests_per_io_cycle": 20,
                    },
                },
                {
                    "name": RUNTIME_LAYER,
                    "rtds_layer": {"name": RUNTIME_LAYER, "rtds_config": from_file(model.directory, "rtds.json")},
                },
            ]
        },
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": sorted(buckets)},
            ]
        },
        # Else a histogram is merged every five seconds, and its numbers are that old.
        "stats_flush_on_admin": True,
        "overload_manager": build_overload(model),
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _admin_cluster(model: GatewayModel) -> Json:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", model.ports.admin)}}
    return {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
