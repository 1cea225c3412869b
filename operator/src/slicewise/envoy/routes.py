"""RDS and RTDS: which paths there are, how a request is tried, and each revision's weight.

The weights are runtime values in a file of their own: a change of one closes no connection and touches nothing else.
"""

from __future__ import annotations

from typing import Final

from slicewise.envoy.affinity import hash_policy, without_affinity
from slicewise.envoy.browsers import cors_policy
from slicewise.envoy.discovery import ROUTES, RUNTIME, TYPE, Json, response, seconds, typed
from slicewise.envoy.jobs import api_routes, as_job, is_job, looks_for_background, refuse_bad_tenants
from slicewise.envoy.model import (
    CACHE_HEADER,
    EDGE_CLUSTER,
    NOT_STARTED_HEADER,
    REVISION_HEADER,
    SERVED_BY_HEADER,
    TIMEOUT_HEADER,
    WORKER_HEALTHY_HEADER,
    GatewayModel,
    Jobs,
    RevisionRoute,
    Timeouts,
    cluster_name,
)
from slicewise.envoy.paths import CACHED_PATHS, GET_PATHS, OTHER_PATHS, POST_PATHS

ROUTE_NAME: Final = "pool"
INTERNAL_ROUTE_NAME: Final = "internal"
JOBS_ROUTE_NAME: Final = "jobs"
RUNTIME_LAYER: Final = "weights"
WEIGHT_PREFIX: Final = "slicewise.weight"
ANSWERS_PREFIX: Final = "slicewise.answers"
TTL_KEY: Final = "slicewise.cache.ttl_seconds"
HOLD_KEY: Final = "slicewise.hold.seconds"
_MAX_HOLD_SECONDS: Final = 60.0

_NOT_BEGUN: Final = "connect-failure,refused-stream,reset-before-request,retriable-headers"
RETRY_ON: Final = f"{_NOT_BEGUN},reset"
"""`reset`: the worker died with the request and before its first byte. Envoy counts its own time-out for it neither as
this nor as any other of them, and retries nothing of which the client has seen a byte."""
_RETRIED_BYTES: Final = 1 << 20
_ATTEMPT: Final = "x-envoy-attempt-count"
BODY_FILTER: Final = "envoy.filters.http.buffer"
_BODY_OF_ROUTE: Final = f"{TYPE}/envoy.extensions.filters.http.buffer.v3.BufferPerRoute"
_NO_BODY: Final = {BODY_FILTER: {"@type": _BODY_OF_ROUTE, "disabled": True}}


def build_rds(model: GatewayModel) -> Json:
    """Return the routes. What is not listed is unknown to clients: `/metrics` and similar paths of workers stay inside."""
    routes = [_not_ascii(model), *api_routes(model, _NO_BODY, _retried_bytes(model))]
    routes += [*_skip_cache(model), *_answers(model)]
    routes += [{"match": {"path": path}, **_to_workers(model)} for path in GET_PATHS]
    routes.append({"match": {"prefix": "/v1/models/"}, **_to_workers(model)})
    found = _routes(
        model,
        ROUTE_NAME,
        routes,
        {"include_request_attempt_count": True, **cors_policy(model.cors, jobs=model.jobs is not None)},
    )
    # What a client sends under this name is gone by now.
    limit = _timeout(model.timeouts, "OVERWRITE_IF_EXISTS_OR_ADD")
    return response(
        ROUTES, [{**found, **limit, "response_headers_to_remove": [NOT_STARTED_HEADER, WORKER_HEALTHY_HEADER]}]
    )


def build_jobs_rds(model: GatewayModel, jobs: Jobs) -> Json:
    """Return the routes of what dispatchers send: as clients' requests, with the times of a job and behind what people wait for.

    A request that a worker had is not tried again here: the dispatcher does so, and counts. It learns which requests were not begun.
    """
    workers = _to_workers(model, _retry_policy(_NOT_BEGUN), jobs.timeouts)
    cached = workers if model.cache is None else _to_edge(model, jobs.timeouts)
    routes = [_not_ascii(model), refuse_bad_tenants(model, _NO_BODY)]
    routes += [{"match": {"path": path}, **(cached if path in CACHED_PATHS else workers)} for path in POST_PATHS]
    found = _routes(model, JOBS_ROUTE_NAME, routes, {"include_request_attempt_count": True})
    headers = [*_timeout(jobs.timeouts, "OVERWRITE_IF_EXISTS_OR_ADD")["request_headers_to_add"], *as_job()]
    return response(ROUTES, [{**found, "request_headers_to_add": headers}])


def build_internal_rds(model: GatewayModel) -> Json:
    """Return the routes of what the edge sends on: to workers by weight. The edge learns which requests were not begun."""
    # A worker may have died of it already: then one more may have it, and no third.
    tried = {"name": _ATTEMPT, "string_match": {"safe_regex": {"regex": "[2-9]"}}}
    routes: list[Json] = []
    if model.jobs is not None:
        job = _to_workers(model, _retry_policy(_NOT_BEGUN), model.jobs.timeouts)
        routes += [{"match": {"path": path, "headers": [is_job()]}, **job} for path in POST_PATHS]
    routes += [
        {"match": {"path": path, "headers": [tried]}, **_to_workers(model, _retry_policy(_NOT_BEGUN))}
        for path in POST_PATHS
    ]
    routes += [{"match": {"path": path}, **_to_workers(model)} for path in POST_PATHS]
    routes.append({"match": {"path": "/readyz"}, "direct_response": {"status": 200}})
    # The edge says how much is left of it after a wait.
    limit = _timeout(model.timeouts, "ADD_IF_ABSENT")
    # So the hold knows of a request that came through the cache whether a worker has had it.
    found = _routes(model, INTERNAL_ROUTE_NAME, routes, {"include_request_attempt_count": True})
    return response(ROUTES, [{**found, **limit}])


def build_rtds(model: GatewayModel) -> Json:
    """Return each revision's weight as a runtime value, and beside them, in the same moment, what the edge goes by."""
    layer: Json = {f"{WEIGHT_PREFIX}.{cluster_name(route.revision)}": route.weight for route in model.routes}
    if model.edge is not None:
        # The rest is for the answer: Envoy's time-out counts both together.
        layer[HOLD_KEY] = round(min(_MAX_HOLD_SECONDS, model.timeouts.gateway * 2 / 3), 3)
    if model.cache is not None:
        layer |= {f"{ANSWERS_PREFIX}.{cluster_name(route.revision)}": route.answers for route in model.routes}
        layer[TTL_KEY] = model.cache.ttl_seconds
    return response(RUNTIME, [{"name": RUNTIME_LAYER, "layer": layer}])


def _not_ascii(model: GatewayModel) -> Json:
    """Refuse a path or query with other bytes than HTTP allows: Envoy lets them in, and what is behind it does not."""
    written = {"name": ":path", "string_match": {"safe_regex": {"regex": "[!-~]*"}}, "invert_match": True}
    return {
        "match": {"prefix": "/", "headers": [written]},
        "direct_response": {"status": 400},
        "typed_per_filter_config": {**_NO_BODY, **without_affinity(model)},
    }


def _routes(model: GatewayModel, name: str, routes: list[Json], more: Json) -> Json:
    """Return a route table. `more`: of its one virtual host.

    The bound of bodies is here and not in the listener, so that a change of it closes no connection.
    """
    routes.append(
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 404},
            "typed_per_filter_config": {**_NO_BODY, **without_affinity(model)},
        }
    )
    per_filter = {
        BODY_FILTER: {"@type": _BODY_OF_ROUTE, "buffer": {"max_request_bytes": model.max_body_bytes}},
        **more.pop("typed_per_filter_config", {}),
    }
    host = {"name": "pool", "domains": ["*"], "routes": routes, "typed_per_filter_config": per_filter, **more}
    return {"name": name, "virtual_hosts": [host]}


def _timeout(timeouts: Timeouts, action: str) -> Json:
    header = {"key": TIMEOUT_HEADER, "value": str(round(timeouts.worker * 1000))}
    return {"request_headers_to_add": [{"header": header, "append_action": action}]}


def _answers(model: GatewayModel) -> list[Json]:
    workers = _to_workers(model)
    cached = workers if model.cache is None else _to_edge(model)
    return [
        *({"match": {"path": path}, **cached} for path in CACHED_PATHS),
        *({"match": {"path": path}, **workers, **looks_for_background(model, path)} for path in OTHER_PATHS),
    ]


def _skip_cache(model: GatewayModel) -> list[Json]:
    """A client that wants no cached answer does not pass the edge."""
    if model.cache is None:
        return []
    wish = {"name": CACHE_HEADER, "string_match": {"exact": "bypass"}}
    said = {"header": {"key": CACHE_HEADER, "value": "bypass"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return [
        {"match": {"path": path, "headers": [wish]}, **_to_workers(model), "response_headers_to_add": [said]}
        for path in CACHED_PATHS
    ]


def _to_edge(model: GatewayModel, timeouts: Timeouts | None = None) -> Json:
    """To the edge; where it is gone, at once to the workers, by the way that the edge takes."""
    times = timeouts or model.timeouts
    return {
        "route": {
            "cluster": EDGE_CLUSTER,
            "timeout": seconds(times.gateway),
            "idle_timeout": seconds(times.gateway + 5),
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request,reset",
                "num_retries": 1,
                "retry_priority": typed(
                    "envoy.retry_priorities.previous_priorities",
                    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                    update_frequency=1,
                ),
            },
        },
        "request_body_buffer_limit": _retried_bytes(model),
    }


def _to_workers(model: GatewayModel, retries: Json | None = None, timeouts: Timeouts | None = None) -> Json:
    times = timeouts or model.timeouts
    ordered = sorted(model.routes, key=lambda route: route.revision)
    stable = model.routes[0].revision
    return {
        "route": {
            "weighted_clusters": {
                "runtime_key_prefix": WEIGHT_PREFIX,
                "clusters": [_weighted(route, default=route.revision == stable) for route in ordered],
            },
            # From the last byte of the request to the last byte of the answer, with all tries.
            "timeout": seconds(times.gateway),
            "idle_timeout": seconds(times.gateway + 5),
            "retry_policy": retries or _retry_policy(RETRY_ON),
            **hash_policy(model),
        },
        "request_body_buffer_limit": _retried_bytes(model),
    }


def _retried_bytes(model: GatewayModel) -> int:
    """Return up to which size a body is held while it is answered: one that is not cannot be sent a second time.

    With all of the largest bodies held, a few dozen requests that run would fill the heap.
    """
    return min(model.max_body_bytes, _RETRIED_BYTES)


def _weighted(route: RevisionRoute, *, default: bool) -> Json:
    return {
        "name": cluster_name(route.revision),
        # What holds where the file of weights has none.
        "weight": 1 if default else 0,
        "response_headers_to_add": [
            {
                # That of the endpoint; the edge has none, and passes on that of the worker who answered.
                "header": {"key": REVISION_HEADER, "value": "%UPSTREAM_METADATA(slicewise:revision)%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            },
            # Nothing is added where the endpoint has none.
            {
                "header": {"key": SERVED_BY_HEADER, "value": "%UPSTREAM_METADATA(slicewise:served_by)%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            },
        ],
    }


def _retry_policy(retry_on: str) -> Json:
    return {
        "retry_on": retry_on,
        # A request that kills workers kills two and no more. Envoy has one number for all reasons.
        "num_retries": 1,
        "retriable_headers": [{"name": NOT_STARTED_HEADER, "present_match": True}],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        # Each choice is independent; with two workers, five draws would give the same one in every thirtieth case.
        "host_selection_retry_max_attempts": 20,
        # Envoy waits for a random part of the base. A worker that is gone is out of the choice once Envoy's main thread has heard of
        # it, about a millisecond later: a retry that comes before finds it again where it is the only one, and not the fallback.
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.25s"},
    }
