"""Jobs: the way of clients to their API, and of the dispatchers' requests to the workers. Pure.

Clients' requests pass the same keys, limits and policy as all others, and go to the API in place of a worker. Dispatchers have a listener
of their own, which asks for no key and believes the tenant's name: a NetworkPolicy keeps all others away from it.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.affinity import without_affinity
from slicewise.envoy.background import find_background
from slicewise.envoy.discovery import TYPE, Json
from slicewise.envoy.model import (
    BACKGROUND_HEADER,
    JOB_HEADER,
    JOBS_CLUSTER,
    PRIORITY_HEADER,
    TENANT_HEADER,
    GatewayModel,
)
from slicewise.envoy.paths import JOBS_PATHS, RESPONSES_PATH

IDLE_SECONDS: Final = 90
"""How long a request to the API may be silent. Events of a job have a line more often than that."""
_TENANT: Final = "[-._a-zA-Z0-9]+"
"""The name of an entry in a Secret. Its length has the bound of the listener's headers."""
_UPLOADS: Final = "/v1/files"


def api_routes(model: GatewayModel, no_body: Json, held_bytes: int) -> list[Json]:
    """Return the routes of clients to the API of jobs; none where the pool takes no jobs.

    `no_body`: what a route needs that streams its body, as part of its `typed_per_filter_config`. `held_bytes`: of a body that is whole,
    for a second try.
    """
    if model.jobs is None:
        return []
    whole, streamed = without_affinity(model), {**no_body, **without_affinity(model)}
    upgrade = {"name": "upgrade", "string_match": {"exact": "websocket", "ignore_case": True}}
    post = {"name": ":method", "string_match": {"exact": "POST"}}
    in_background = {"name": BACKGROUND_HEADER, "present_match": True}
    sockets = {**_to_api(streamed), "request_body_buffer_limit": 0}
    sockets["route"] = {**sockets["route"], "upgrade_configs": [{"upgrade_type": "websocket"}]}
    kept = {"request_body_buffer_limit": held_bytes}
    return [
        {"match": {"path": RESPONSES_PATH, "headers": [in_background]}, **_to_api(whole), **kept},
        *_foreign_pages(model, upgrade, streamed),
        {"match": {"prefix": f"{JOBS_PATHS[0]}/", "headers": [upgrade]}, **sockets},
        # The API bounds files itself, and reads them as they come.
        {"match": {"path": _UPLOADS, "headers": [post]}, **_to_api(streamed, "0.001s"), **kept},
        *({"match": {"path": path}, **_to_api(whole), **kept} for path in JOBS_PATHS),
        *({"match": {"prefix": f"{path}/"}, **_to_api(whole), **kept} for path in (*JOBS_PATHS, RESPONSES_PATH)),
    ]


def _foreign_pages(model: GatewayModel, upgrade: Json, per_filter: Json) -> list[Json]:
    """Refuse WebSockets of pages that CORS does not let in: browsers keep no page from opening one, and only say whose page it is."""
    origins = model.cors.origins if model.cors else ()
    if "*" in origins:
        return []
    others = [{"name": "origin", "string_match": {"exact": origin}, "invert_match": True} for origin in origins]
    return [
        {
            "match": {
                "prefix": f"{JOBS_PATHS[0]}/",
                "headers": [upgrade, {"name": "origin", "present_match": True}, *others],
            },
            "direct_response": {"status": 403},
            "typed_per_filter_config": per_filter,
        }
    ]


def _to_api(per_filter: Json, base_interval: str = "0.025s") -> Json:
    """`base_interval`: the longest wait for a second try. A body that goes on coming meanwhile and is not held whole ends the request."""
    return {
        "route": {
            "cluster": JOBS_CLUSTER,
            # Events and files are read for as long as they come.
            "timeout": "0s",
            "idle_timeout": f"{IDLE_SECONDS}s",
            "retry_policy": {
                # Nothing of such a request has left the gateway. What was sent may have become a job.
                "retry_on": "connect-failure,refused-stream,reset-before-request",
                "num_retries": 2,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": f"{TYPE}/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        },
                    }
                ],
                "host_selection_retry_max_attempts": 20,
                "retry_back_off": {"base_interval": base_interval, "max_interval": "0.25s"},
            },
        },
        "request_headers_to_remove": [BACKGROUND_HEADER],
        **({"typed_per_filter_config": per_filter} if per_filter else {}),
    }


def looks_for_background(model: GatewayModel, path: str) -> Json:
    """Return what a route to workers needs whose requests may be for the API of jobs, by their body."""
    if model.jobs is None or path != RESPONSES_PATH:
        return {}
    return {"typed_per_filter_config": find_background()}


def is_job() -> Json:
    """Return the condition of a route, for what a dispatcher sent."""
    return {"name": JOB_HEADER, "present_match": True}


def as_job() -> list[Json]:
    """Return the headers that what a dispatcher sends gets."""
    return [
        {"header": {"key": JOB_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        # Behind what people wait for.
        {"header": {"key": PRIORITY_HEADER, "value": "batch"}, "append_action": "ADD_IF_ABSENT"},
    ]


def refuse_bad_tenants(model: GatewayModel, no_body: Json) -> Json:
    """Return the route for a tenant's name that no key can have: workers count by it, and log it."""
    named = {"name": TENANT_HEADER, "present_match": True}
    unlike = {"name": TENANT_HEADER, "string_match": {"safe_regex": {"regex": _TENANT}}, "invert_match": True}
    return {
        "match": {"prefix": "/", "headers": [named, unlike]},
        "direct_response": {"status": 400},
        "typed_per_filter_config": {**no_body, **without_affinity(model)},
    }
