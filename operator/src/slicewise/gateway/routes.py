"""RDS and RTDS: which paths there are, how a request is tried, and each revision's share.

The shares are runtime values in a file of their own: a change of one closes no connection and touches nothing else.
"""

from __future__ import annotations

from typing import Final

from slicewise.gateway.discovery import ROUTES, RUNTIME, Json, response, seconds
from slicewise.gateway.model import NOT_STARTED_HEADER, REVISION_HEADER, GatewayModel, RevisionRoute, cluster_name

ROUTE_NAME: Final = "pool"
RUNTIME_LAYER: Final = "weights"
WEIGHT_PREFIX: Final = "slicewise.weight"

_PATHS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/models")
RETRY_ON: Final = "connect-failure,refused-stream,reset-before-request,reset,retriable-headers"
"""`reset`: the worker died with the request and before its first byte. Envoy counts its own time-out for it neither as
this nor as any other of them, and retries nothing of which the client has seen a byte."""


def build_rds(model: GatewayModel) -> Json:
    """Return the routes. What is not listed is unknown to clients: `/metrics` and the like of workers stay inside."""
    routes = [{"match": {"path": path}, **_action(model)} for path in _PATHS]
    routes.append({"match": {"prefix": "/v1/models/"}, **_action(model)})
    routes.append({"match": {"prefix": "/"}, "direct_response": {"status": 404}})
    return response(
        ROUTES,
        [
            {
                "name": ROUTE_NAME,
                "virtual_hosts": [{"name": "pool", "domains": ["*"], "routes": routes}],
                "response_headers_to_remove": [NOT_STARTED_HEADER],
            }
        ],
    )


def build_rtds(model: GatewayModel) -> Json:
    """Return each revision's weight as a runtime value."""
    weights = {f"{WEIGHT_PREFIX}.{cluster_name(route.revision)}": route.weight for route in model.routes}
    return response(RUNTIME, [{"name": RUNTIME_LAYER, "layer": weights}])


def _action(model: GatewayModel) -> Json:
    ordered = sorted(model.routes, key=lambda route: route.revision)
    stable = model.routes[0].revision
    return {
        "route": {
            "weighted_clusters": {
                "runtime_key_prefix": WEIGHT_PREFIX,
                "clusters": [_weighted(route, default=route.revision == stable) for route in ordered],
            },
            # From the last byte of the request to the last byte of the answer, with all tries.
            "timeout": seconds(model.timeouts.gateway),
            "idle_timeout": seconds(model.timeouts.gateway + 5),
            "retry_policy": _retry_policy(),
        },
        # A body that is not held whole cannot be sent a second time.
        "request_body_buffer_limit": model.max_body_bytes,
    }


def _weighted(route: RevisionRoute, *, default: bool) -> Json:
    return {
        "name": cluster_name(route.revision),
        # What holds where the file of weights has none.
        "weight": 1 if default else 0,
        "response_headers_to_add": [
            {
                "header": {"key": REVISION_HEADER, "value": route.revision},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _retry_policy() -> Json:
    return {
        "retry_on": RETRY_ON,
        "num_retries": 2,
        "retriable_headers": [{"name": NOT_STARTED_HEADER, "present_match": True}],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
