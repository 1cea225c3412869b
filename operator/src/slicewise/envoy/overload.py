"""What Envoy does before its memory or its connections run out: the overload manager. Pure.

Envoy holds each request's body until it is complete, and one of up to 1 MiB until an answer begins, so that it can be tried again. The heap
is therefore bounded by shedding, in this order, each at a share of `heap_bytes`: idle connections end sooner, new requests get 503,
HTTP/2 streams with the most memory are reset, and at last every connection that still sends is closed with 503. The last step
frees memory at once where the attack is, so memory stays below the container's limit whatever one body may have.
`gateway/tests/test_overload.py` floods a real Envoy and looks at its resident memory.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import TYPE, Json, typed
from slicewise.envoy.model import GatewayModel

OVERLOAD_DETAIL: Final = "overload"
"""Envoy's own word in `RESPONSE_CODE_DETAILS` for what it refused because of its memory."""
CONNECTION_BYTES: Final = 40 << 10
"""Heap for each connection of the bound: one that has had a request takes 19 KiB when idle, measured with Envoy 1.40."""

_HEAP: Final = "envoy.resource_monitors.fixed_heap"
_CONNECTIONS: Final = "envoy.resource_monitors.global_downstream_max_connections"
_REFRESH: Final = "0.02s"
"""What arrives between two looks at the heap is the overshoot; a look costs microseconds."""
_MOST_IDLE: Final = (0.25, 0.45)
"""Connections at their bound take half of the heap. From the first share on they may be idle for less than ten minutes."""
_REFUSE, _RESET, _CLOSE = 0.8, (0.8, 0.9), 0.85
_CLOSE_HTTP2: Final = 0.9
_LEAST_TRACKED: Final = 15
"""Streams that hold less than two to the power of this are never reset for their memory."""


def build_overload(model: GatewayModel) -> Json:
    """Return the `overload_manager` of the bootstrap."""
    action = "envoy.overload_actions"
    point = "envoy.load_shed_points"
    return {
        "refresh_interval": _REFRESH,
        "resource_monitors": [
            typed(
                _HEAP,
                "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=model.heap_bytes,
            ),
            typed(
                _CONNECTIONS,
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=model.max_connections,
            ),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": _LEAST_TRACKED},
        "actions": [
            {"name": f"{action}.reduce_timeouts", "triggers": [_between(*_MOST_IDLE)], "typed_config": _idle()},
            {"name": f"{action}.shrink_heap", "triggers": [_above(_REFUSE)]},
            {"name": f"{action}.stop_accepting_requests", "triggers": [_above(_REFUSE)]},
            {"name": f"{action}.reset_high_memory_stream", "triggers": [_between(*_RESET)]},
        ],
        "loadshed_points": [
            {"name": f"{point}.http1_server_abort_dispatch", "triggers": [_above(_CLOSE)]},
            {"name": f"{point}.http2_server_go_away_and_close_on_dispatch", "triggers": [_above(_CLOSE_HTTP2)]},
        ],
    }


def is_overload(*, otherwise: bool = False) -> Json:
    """Return the filter for answers by which Envoy refused a request because of its memory; `otherwise`: for all others."""
    return {
        "extension_filter": typed(
            "envoy.access_loggers.extension_filters.cel",
            "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression=f"response.code_details {'!=' if otherwise else '=='} '{OVERLOAD_DETAIL}'",
        )
    }


def _idle() -> Json:
    return {
        "@type": f"{TYPE}/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
        "timer_scale_factors": [{"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "5s"}],
    }


def _above(share: float) -> Json:
    return {"name": _HEAP, "threshold": {"value": share}}


def _between(low: float, high: float) -> Json:
    return {"name": _HEAP, "scaled": {"scaling_threshold": low, "saturation_threshold": high}}
