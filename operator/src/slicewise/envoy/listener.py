"""LDS: the listener that clients reach, with the limits of Envoy's guide for edge proxies, and the one for counters."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.affinity import affinity_filters
from slicewise.envoy.background import background_filters
from slicewise.envoy.browsers import cors_filter
from slicewise.envoy.clusters import OTLP_CLUSTER
from slicewise.envoy.discovery import LISTENER, TYPE, Json, from_file, response, typed
from slicewise.envoy.local_replies import build_local_replies
from slicewise.envoy.model import (
    CACHE_HEADER,
    HELD_HEADER,
    MAX_BODY_BYTES,
    PRIORITY_HEADER,
    TENANT_HEADER,
    GatewayModel,
)
from slicewise.envoy.outcomes import Sent, downstream_counters, upstream_log
from slicewise.envoy.own_headers import drop_own_headers
from slicewise.envoy.routes import BODY_FILTER, INTERNAL_ROUTE_NAME, JOBS_ROUTE_NAME, ROUTE_NAME
from slicewise.envoy.shares import share_filters
from slicewise.envoy.tenants import tenant_filters

ADMIN_CLUSTER: Final = "admin"
_NOBODY: Final = {"cidr_ranges": [{"address_prefix": "192.0.2.1", "prefix_len": 32}]}
"""An address for documentation, which no client has: an empty list stands for Envoy's default, all private addresses."""
_OTHER_STREAMS: Final = "60s"
"""How long a stream that goes to no worker may be silent."""
_UPLOAD: Final = "300s"
"""How long a request may take to arrive where the pool takes jobs, and with them files."""
_FIRST_LINE: Final = "5s"
"""How long a client may take from connecting to the end of its first line."""
_HCM: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"

_ACCESS_LOG: Final = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "detail": "%RESPONSE_CODE_DETAILS%",
    "tenant": f"%REQ({TENANT_HEADER})%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "revision": "%UPSTREAM_METADATA(slicewise:revision)%",
    "worker": "%UPSTREAM_METADATA(slicewise:worker)%",
    "zone": "%UPSTREAM_METADATA(slicewise:zone)%",
    "cache": f"%RESP({CACHE_HEADER})%",
    "held_s": f"%RESP({HELD_HEADER})%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "user_agent": "%REQ(USER-AGENT)%",
}


def build_lds(model: GatewayModel) -> Json:
    """Return the listeners. Nothing that a rollout changes is in here: a changed listener drains its connections."""
    internal = [] if model.edge is None else [_internal(model)]
    jobs = [] if model.jobs is None else [_dispatchers(model)]
    return response(LISTENER, [_clients(model), _stats(model), *internal, *jobs])


def _listener(name: str, port: int, manager: Json, address: Json | None = None) -> Json:
    """For the pod's own use: however many clients there are, counters can be read and what the edge sends on arrives."""
    return {**_open_listener(name, port, manager, address), "ignore_global_conn_limit": True}


def _open_listener(name: str, port: int, manager: Json, address: Json | None = None) -> Json:
    everywhere = {"address": "::", "ipv4_compat": True}
    return {
        "name": name,
        "address": {"socket_address": {**(address or everywhere), "port_value": port}},
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [{"filters": [typed("envoy.filters.network.http_connection_manager", _HCM, **manager)]}],
    }


def _clients(model: GatewayModel) -> Json:
    manager: Json = {
        "stat_prefix": "pool",
        "codec_type": "AUTO",
        "rds": {"route_config_name": ROUTE_NAME, "config_source": from_file(model.directory, "rds.json")},
        "use_remote_address": True,
        "skip_xff_append": False,
        # No client's x-envoy headers are trusted: no address is internal.
        "internal_address_config": _NOBODY,
        "early_header_mutation_extensions": [drop_own_headers(CACHE_HEADER, PRIORITY_HEADER)],
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "server_header_transformation": "PASS_THROUGH",
        **_request_ids(),
        "common_http_protocol_options": {
            "idle_timeout": "600s",
            # Agents send some (`session_id`). No worker sees them: `x_slicewise_tenant` could pass for a header of ours.
            "headers_with_underscores_action": "DROP_HEADER",
            "max_headers_count": 100,
        },
        "max_request_headers_kb": 32,
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
        # A slow client holds a connection, never a worker: bodies are passed on whole.
        "request_headers_timeout": "10s",
        "request_timeout": "30s" if model.jobs is None else _UPLOAD,
        # Routes to workers have one of their own, so that a change of a limit changes no listener.
        "stream_idle_timeout": _OTHER_STREAMS,
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "slicewise"},
        "local_reply_config": build_local_replies(jobs=model.jobs is not None),
        "access_log": [_access_log(), *downstream_counters(model)],
        "http_filters": [
            cors_filter(),
            *tenant_filters(model),
            *share_filters(model),
            _whole_bodies(),
            *affinity_filters(model),
            *background_filters(model),
            _router(**upstream_log(model)),
        ],
    }
    if model.otlp is not None:
        manager["tracing"] = _tracing(model)
    inspector = typed(
        "envoy.filters.listener.http_inspector",
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    )
    return {
        **_open_listener("http", model.ports.http, manager),
        # It waits for the first line of a request, so a connection without one is closed after this time.
        "listener_filters": [inspector],
        "listener_filters_timeout": _FIRST_LINE,
    }


def _internal(model: GatewayModel) -> Json:
    """What the edge sends on. Who asks and how much was found out at the door, so headers are believed here."""
    sent = Sent.BY_CLIENTS if model.jobs is None else Sent.BY_BOTH
    manager: Json = {
        "stat_prefix": "internal",
        "codec_type": "HTTP1",
        "rds": {
            "route_config_name": INTERNAL_ROUTE_NAME,
            "config_source": from_file(model.directory, "rds-internal.json"),
        },
        "internal_address_config": _NOBODY,
        "server_header_transformation": "PASS_THROUGH",
        # The request keeps its path through the trace, too.
        **_request_ids(),
        "common_http_protocol_options": {"idle_timeout": "600s", "max_headers_count": 200},
        "max_request_headers_kb": 64,
        "stream_idle_timeout": _OTHER_STREAMS,
        "local_reply_config": build_local_replies(),
        "access_log": [_access_log(), *downstream_counters(model, sent)],
        "http_filters": [_whole_bodies(), *affinity_filters(model), _router(**upstream_log(model, sent))],
    }
    if model.otlp is not None:
        manager["tracing"] = _tracing(model)
    return _listener("internal", model.ports.internal, manager, {"address": "127.0.0.1"})


def _dispatchers(model: GatewayModel) -> Json:
    """What dispatchers of jobs send. A NetworkPolicy keeps all others away, so the tenant's name is believed."""
    manager: Json = {
        "stat_prefix": "jobs",
        "codec_type": "AUTO",
        "rds": {"route_config_name": JOBS_ROUTE_NAME, "config_source": from_file(model.directory, "rds-jobs.json")},
        "use_remote_address": True,
        "internal_address_config": _NOBODY,
        "early_header_mutation_extensions": [drop_own_headers(CACHE_HEADER, PRIORITY_HEADER, TENANT_HEADER)],
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        **_request_ids(),
        "common_http_protocol_options": {
            "idle_timeout": "600s",
            "headers_with_underscores_action": "DROP_HEADER",
            "max_headers_count": 100,
        },
        "max_request_headers_kb": 4,
        "request_headers_timeout": "10s",
        "request_timeout": "30s",
        "stream_idle_timeout": _OTHER_STREAMS,
        "local_reply_config": build_local_replies(),
        "access_log": [_access_log(), *downstream_counters(model, Sent.BY_DISPATCHERS)],
        "http_filters": [
            # No limit a minute: a dispatcher that is refused for one tenant pauses for all, and the job was counted when it was sent.
            *share_filters(model),
            _whole_bodies(),
            *affinity_filters(model),
            _router(**upstream_log(model, Sent.BY_DISPATCHERS)),
        ],
    }
    if model.otlp is not None:
        manager["tracing"] = _tracing(model)
    return _open_listener("jobs", model.ports.jobs, manager)


def _stats(model: GatewayModel) -> Json:
    """The counters, and nothing else of the admin interface."""
    routes = [
        {
            "match": {"path": path, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
            "route": {"cluster": ADMIN_CLUSTER, "timeout": "5s"},
        }
        for path in ("/stats/prometheus", "/ready")
    ]
    # For the kubelet: an answer is the proof.
    routes.append({"match": {"path": "/healthz"}, "direct_response": {"status": 200}})
    manager: Json = {
        "stat_prefix": "stats",
        "route_config": {"name": "stats", "virtual_hosts": [{"name": "stats", "domains": ["*"], "routes": routes}]},
        "http_filters": [_router()],
        "request_timeout": "5s",
        "request_headers_timeout": "5s",
    }
    # Counters are most wanted when memory is short.
    return {**_listener("stats", model.ports.stats, manager), "bypass_overload_manager": True}


def _request_ids() -> Json:
    """Keep the id that a client gives its request as it is, make one for who gives none, and say it in every answer."""
    kind = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"
    # By default Envoy writes its decision about the trace into the id, and traces no request of which the id is no UUID.
    own = {"pack_trace_reason": False, "use_request_id_for_trace_sampling": False}
    return {
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {"typed_config": {"@type": f"{TYPE}/{kind}", **own}},
    }


def _whole_bodies() -> Json:
    """Take bodies in whole. Each virtual host has the pool's own bound."""
    return typed(BODY_FILTER, "envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=MAX_BODY_BYTES)


def _router(**more: Json) -> Json:
    return typed("envoy.filters.http.router", _ROUTER, suppress_envoy_headers=True, **more)


def _access_log() -> Json:
    return typed(
        "envoy.access_loggers.stdout",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": dict(_ACCESS_LOG), "omit_empty_values": False},
    )


def _tracing(model: GatewayModel) -> Json:
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{TYPE}/envoy.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {"envoy_grpc": {"cluster_name": OTLP_CLUSTER}, "timeout": "1s"},
                "service_name": f"slicewise-gateway/{model.pool}",
            },
        },
        "spawn_upstream_span": True,
        "custom_tags": [{"tag": "slicewise.tenant", "request_header": {"name": TENANT_HEADER}}],
    }
