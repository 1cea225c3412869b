"""All children of a pool, in the order in which they are applied. Pure.

Rank: what pods refer to first, then the gateway's configuration (so that requests leave a worker before it goes), then budgets (so
that no worker is ever without one), then the Deployments, the workers' before the gateway's: they take longer to come up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.access import build_network_policy, build_service_account
from slicewise.manifests.deployment import build_deployment
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.disruption_budget import Hold, build_disruption_budget, build_gateway_budget
from slicewise.manifests.fallback import build_fallback, fallback_model
from slicewise.manifests.gateway_access import build_gateway_account, build_gateway_binding, build_gateway_policy
from slicewise.manifests.gateway_config import build_gateway_config
from slicewise.manifests.gateway_deployment import build_gateway_deployment
from slicewise.manifests.installation import Installation
from slicewise.manifests.jobs import build_jobs
from slicewise.manifests.revision import build_revision
from slicewise.manifests.service import build_endpoint_service, build_revision_service, build_worker_service
from slicewise.manifests.shape import plain
from slicewise.manifests.weight_cache import build_claim, build_live_list

PRUNED_KINDS = (
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "ControllerRevision"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
)
"""Kinds of which an owned object that is no longer planned is deleted. A claim is never among them: it may hold the only copy."""


@dataclass(frozen=True, slots=True)
class KeptRevision:
    """A revision that is stored, and what it has in each zone."""

    hash: str
    number: int
    data: Mapping[str, Any]
    """`{"template": …, "resource": …, "inputs": …}`, exactly as stored."""
    replicas: Mapping[str, int]
    """Zone → replicas; empty where it has no workers."""


@dataclass(frozen=True, slots=True)
class ChildrenInput:
    """What the manifests are a function of."""

    pool: InferencePool
    revisions: tuple[KeptRevision, ...]
    live: tuple[str, ...]
    """Hashes of stable and canary."""
    floors: Mapping[str, int]
    """Zone → the floor of its budget."""
    operator_namespace: str
    gateway: DesiredGateway
    installation: Installation = field(default_factory=Installation)
    fallback_replicas: int = 0
    """Workers that the CPU fallback's Deployment asks for; 0 where the spec has no fallback."""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """Zone → how its budget is raised while workers are scaled down."""


def build_children(desired: ChildrenInput) -> tuple[dict[str, Any], ...]:
    """Return every object that must exist. The same input gives the same objects, byte for byte."""
    pool = desired.pool
    gateway = desired.gateway
    live_data = [item.data for item in desired.revisions if item.hash in desired.live]
    children: list[dict[str, Any] | None] = [
        build_service_account(pool),
        build_network_policy(pool, desired.operator_namespace, gateway.installation.metrics_from),
        build_endpoint_service(pool, gateway.model.ports.http),
        build_worker_service(pool),
        *(build_revision_service(pool, route.revision) for route in gateway.model.routes),
        build_claim(pool),
        build_live_list(pool, [*live_data, *_of_fallback(pool)]),
        build_gateway_config(pool, gateway.config, gateway.waking),
    ]
    children += [build_revision(pool, item.hash, item.number, item.data) for item in desired.revisions]
    children += [
        build_disruption_budget(pool, zone, floor, desired.holds.get(zone)) for zone, floor in desired.floors.items()
    ]
    for item in desired.revisions:
        if item.hash in desired.live:
            children += [
                build_deployment(pool, item.hash, item.data["template"], zone, count)
                for zone, count in item.replicas.items()
                if count > 0 or zone in desired.floors
            ]
    children += build_fallback(pool, desired.installation, desired.fallback_replicas)
    children += build_jobs(pool, desired.installation)
    children += [
        build_gateway_account(pool),
        build_gateway_binding(pool, gateway.installation.role),
        build_gateway_policy(pool, gateway),
        build_gateway_budget(pool, gateway.model.replicas),
        build_gateway_deployment(pool, gateway),
    ]
    return tuple(child for child in children if child is not None)


def _of_fallback(pool: InferencePool) -> list[dict[str, Any]]:
    """The model of the CPU fallback as a revision's data has it; none where there is no fallback."""
    if pool.spec.fallback is None:
        return []
    return [{"inputs": {"model": plain(fallback_model(pool, pool.spec.fallback.cpu))}}]
