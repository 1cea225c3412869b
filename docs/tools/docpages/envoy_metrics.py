"""The statistics of Envoy that rules, dashboards and the gate read. gateway/tests/test_envoy_metrics.py looks for each in a real Envoy."""

from __future__ import annotations

from typing import Final

from docpages.metric import Metric
from slicewise.envoy.outcomes import LIMIT_TAG, OUTCOME_TAG

_LISTENER: Final = ("envoy_http_conn_manager_prefix",)
_CLUSTER: Final = ("envoy_cluster_name",)
_REVISION: Final = (OUTCOME_TAG,)
_TIMED: Final = (OUTCOME_TAG, LIMIT_TAG)

_LISTENERS: Final = (
    ("rq_total", "counter", "Requests of clients; the listener that serves them has the prefix `pool`."),
    ("rq_active", "gauge", "Requests of clients that run."),
    ("rq_time", "histogram", "Milliseconds from a request's arrival to the end of its answer."),
    ("cx_active", "gauge", "Connections of clients."),
)
_CLUSTERS: Final = (
    ("upstream_rq_total", "counter", "Requests that a worker of the revision got."),
    ("upstream_rq_active", "gauge", "Requests that workers of the revision have not answered."),
    ("upstream_rq_retry", "counter", "Requests that were tried again."),
    ("upstream_rq_pending_failure_eject", "counter", "Tries whose connection could not be made."),
    ("upstream_rq_pending_overflow", "counter", "Tries that had no room."),
    ("upstream_cx_none_healthy", "counter", "Tries that found no worker."),
    ("upstream_rq_time", "histogram", "Milliseconds from a try to the end of its answer."),
    ("membership_total", "gauge", "Endpoints of the revision."),
    ("membership_healthy", "gauge", "Endpoints that pass the health check."),
    ("membership_excluded", "gauge", "Endpoints that have not been checked yet."),
    ("outlier_detection_ejections_active", "gauge", "Endpoints that get no request for a while, because they failed."),
)
_OUTCOMES: Final = (
    ("fast", _TIMED, "Answers that ended within the limit."),
    ("late", _TIMED, "Answers that ended after it."),
    ("crossed", _TIMED, "Requests that were seen to run for longer than the limit."),
    ("gone", _TIMED, "Answers of such requests that ended."),
    ("left", _TIMED, "Requests that their client gave up before the limit."),
    ("failed", _REVISION, "Requests that ended with 5xx, a time-out, or an answer that broke."),
    ("refused", _REVISION, "Requests that workers refused because they were full."),
    ("jobs", _REVISION, "Requests that run jobs, and that a worker got. No other count of an outcome's time has them."),
    ("jobs_ended", _REVISION, "Those that ended with an answer or an error."),
    ("jobs_refused", _REVISION, "Those that a worker refused with a 4xx; they are in `refused`, too."),
    ("aside", _REVISION, "Tries that the CPU fallback got."),
    ("aside_again", _REVISION, "Those of them that were not the first of their request."),
)


def envoy_metrics() -> tuple[Metric, ...]:
    """Return them as Prometheus has them. Those of an outcome exist from its first event on."""
    return (
        *(Metric(f"envoy_http_downstream_{name}", kind, _LISTENER, text) for name, kind, text in _LISTENERS),
        Metric(
            "envoy_http_downstream_rq_xx",
            "counter",
            ("envoy_response_code_class", *_LISTENER),
            "Answers to clients by the first digit of their status.",
        ),
        *(Metric(f"envoy_cluster_{name}", kind, _CLUSTER, text) for name, kind, text in _CLUSTERS),
        *(Metric(f"envoy_slicewise_{name}", "counter", labels, text) for name, labels, text in _OUTCOMES),
        Metric("envoy_server_uptime", "gauge", (), "Seconds since Envoy started."),
    )
