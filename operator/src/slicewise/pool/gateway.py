"""The gateway that a pool asks for: its routes, limits and place, from the spec and from where the rollout stands. Pure.

Called by `plan_pool`. Which revision gets which weight is decided in `rollout/traffic.py`; Envoy's configuration is
made in `slicewise.envoy`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import floor
from typing import Any, Final

from slicewise.api.duration import duration_seconds
from slicewise.api.labels import FALLBACK
from slicewise.api.quantity import Bytes, parse_quantity
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.gateway import Cors as CorsSpec
from slicewise.api.v1alpha1.gateway import GatewayLimits, GatewaySpec, Routing, TenantPriority
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.scalars import LARGEST_BODY
from slicewise.envoy import (
    CONNECTION_BYTES,
    MAX_CONNECTIONS,
    Backend,
    Cors,
    EdgeEndpoint,
    GatewayModel,
    Jobs,
    ResponseCache,
    RevisionRoute,
    TenantKeys,
    TenantShare,
    Timeouts,
    render_gateway,
)
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.installation import GatewayInstallation
from slicewise.manifests.metadata import fallback_name, jobs_name, revision_service_name
from slicewise.manifests.shape import merge
from slicewise.pool.observed import ObservedPool
from slicewise.pool.revision import find_revision

_HEAP_SHARE: Final = 0.8
"""Of the memory that Envoy's container may take; the rest is for what Envoy does not count as heap."""
_AS_IT_COMES: Final = GatewaySpec()
_NO_LIMITS: Final = GatewayLimits()
_render = lru_cache(maxsize=16)(render_gateway)
"""A pass plans up to three times; most times the model is the one before."""


def desired_gateway(
    pool: InferencePool,
    observed: ObservedPool,
    weights: Mapping[str, int],
    *,
    has_workers: bool,
    fallback: bool = False,
) -> DesiredGateway:
    """Return what the gateway is to be.

    `weights`: revision → weight, the stable revision first. `has_workers`: whether any worker is desired; if not,
    a request is refused at once instead of being held. `fallback`: whether requests go to the CPU fallback while no worker is
    healthy.
    """
    cache = pool.spec.gateway.response_cache if pool.spec.gateway else None
    answers = {revision: _answers(observed, revision) for revision in weights} if cache else {}
    own = PodPlacement.model_validate(pool.spec.gateway.model_dump()) if pool.spec.gateway else None
    here = replace(observed.installation.gateway, shape=merge(observed.installation.gateway.shape, own))
    model = _model(pool, here, weights, answers)
    if fallback:
        model = replace(model, routes=_with_fallback(pool, model.routes))
    if has_workers:
        model = replace(model, edge=EdgeEndpoint(), cache=ResponseCache(duration_seconds(cache.ttl)) if cache else None)
    return DesiredGateway(
        model,
        _render(model),
        here,
        observed.installation.operator_namespace,
        pull_secrets=observed.installation.image_pull_secrets,
        redis_secret=cache.redis_secret_ref.name if cache else None,
    )


def _with_fallback(pool: InferencePool, routes: tuple[RevisionRoute, ...]) -> tuple[RevisionRoute, ...]:
    """Only behind the revision that gets most: a canary that is judged and whose workers are gone must not be answered for."""
    cpu = Backend(fallback_name(pool.metadata.name), priority=1, served_by=FALLBACK)
    most = max(routes, key=lambda route: route.weight)
    return tuple(replace(route, backends=(*route.backends, cpu)) if route is most else route for route in routes)


def _answers(observed: ObservedPool, revision: str) -> str:
    """Return a digest of what a revision's answers depend on besides the request: all that it was made from, model, settings
    and the image with the engine. Empty, so that nothing is kept, until the revision is stored."""
    found = find_revision(observed.revisions, revision)
    if found is None:
        return ""
    text = json.dumps(found.data, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _model(
    pool: InferencePool, here: GatewayInstallation, weights: Mapping[str, int], answers: Mapping[str, str]
) -> GatewayModel:
    name, spec = pool.metadata.name, pool.spec.gateway or _AS_IT_COMES
    limits = spec.limits or _NO_LIMITS
    canary, keys = pool.spec.rollout.canary, spec.tenant_keys_secret_ref
    return GatewayModel(
        pool=name,
        routes=tuple(
            RevisionRoute(
                revision, weight, (Backend(revision_service_name(name, revision)),), answers.get(revision, "")
            )
            for revision, weight in weights.items()
        ),
        timeouts=Timeouts.of(duration_seconds(limits.request_timeout)),
        # A pool of an earlier version may ask for more than gateways and workers are made for.
        max_body_bytes=int(min(Bytes.from_quantity(limits.max_body_bytes), Bytes.from_quantity(LARGEST_BODY))),
        requests_per_minute=limits.per_tenant_requests_per_minute,
        replicas=spec.replicas,
        tenant_keys=None if keys is None else TenantKeys(keys.name),
        shares=tuple(
            TenantShare(one.name, one.weight, one.priority is TenantPriority.BATCH) for one in spec.tenants or ()
        ),
        affinity=spec.routing is Routing.CONVERSATION,
        jobs=_jobs(pool),
        cors=_cors(spec.cors),
        p95_seconds=duration_seconds(canary.p95) if canary is not None and canary.p95 is not None else None,
        otlp=_collector(here.otlp),
        fallback=pool.spec.fallback is not None,
        **_size(here.envoy_resources),
    )


def _jobs(pool: InferencePool) -> Jobs | None:
    if pool.spec.jobs is None:
        return None
    host = f"{jobs_name(pool.metadata.name)}.{pool.metadata.namespace}.svc"
    return Jobs.of(host, duration_seconds(pool.spec.jobs.request_timeout))


def _cors(found: CorsSpec | None) -> Cors | None:
    if found is None:
        return None
    return Cors(found.allow_origins, found.allow_headers, duration_seconds(found.max_age))


def _collector(address: str) -> tuple[str, int] | None:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host else None


def _size(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Envoy's heap, connections and threads, from its container's resources; nothing where they do not say."""
    limits = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    size: dict[str, Any] = {}
    if "memory" in (resources.get("limits") or {}):
        size["heap_bytes"] = floor(float(parse_quantity(limits["memory"])) * _HEAP_SHARE)
        size["max_connections"] = max(1, min(MAX_CONNECTIONS, size["heap_bytes"] // CONNECTION_BYTES))
    if "cpu" in limits:
        size["concurrency"] = max(1, floor(parse_quantity(limits["cpu"])))
    return size


def is_programmed(observed: ObservedPool, desired: DesiredGateway) -> bool | None:
    """Return whether every gateway pod that takes requests runs that configuration; None where none does."""
    serving = [pod for pod in observed.gateway_pods if pod.ready and not pod.terminating]
    if not serving:
        return None
    return all(pod.info is not None and pod.info.running == desired.config.version for pod in serving)
