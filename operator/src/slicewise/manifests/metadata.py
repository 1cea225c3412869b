"""Names and metadata of children. One place that spells how a child is called; pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from slicewise.api.labels import LABEL_REVISION, LABEL_ROLE, LABEL_ZONE, ROLE_WORKER, common_labels
from slicewise.api.v1alpha1 import InferencePool

_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LONGEST_SLUG = 24
_TAKEN = frozenset({"nozone", "gateway", "fallback", "jobs", "jobs-dispatch"})
"""Slugs that stand for something else: nodes without a zone, and what belongs to the gateway, the CPU fallback or jobs."""


def zone_slug(zone: str) -> str:
    """Return a zone as part of a name: itself where it is a short DNS label, else a readable form with a hash behind it.

    The zone `""` (nodes without a zone label) is `nozone`. Different zones never share a slug.
    """
    if zone == "":
        return "nozone"
    if _DNS_LABEL.fullmatch(zone) and len(zone) <= _LONGEST_SLUG and zone not in _TAKEN:
        return zone
    readable = re.sub(r"[^a-z0-9]+", "-", zone.lower()).strip("-")[: _LONGEST_SLUG - 7].strip("-") or "zone"
    return f"{readable}-{hashlib.sha256(zone.encode()).hexdigest()[:6]}"


def deployment_name(pool: str, zone: str, revision: str) -> str:
    """Return the name of the Deployment of one revision in one zone; it ends in the revision's hash."""
    return f"{pool}-{zone_slug(zone)}-{revision}"


def budget_name(pool: str, zone: str) -> str:
    """Return the name of the PodDisruptionBudget of one zone."""
    return f"{pool}-{zone_slug(zone)}"


def revision_name(pool: str, revision: str) -> str:
    """Return the name of the ControllerRevision of one revision."""
    return f"{pool}-{revision}"


def worker_service_name(pool: str) -> str:
    """Return the name of the headless Service over all workers."""
    return f"{pool}-workers"


def revision_service_name(pool: str, revision: str) -> str:
    """Return the name of the headless Service over the workers of one revision."""
    return f"{pool}-{revision}"


def fallback_name(pool: str) -> str:
    """Return the name of the CPU fallback's Deployment, Service and disruption budget."""
    return f"{pool}-fallback"


def gateway_name(pool: str) -> str:
    """Return the name of the gateway's Deployment, ConfigMap, ServiceAccount, NetworkPolicy and disruption budget."""
    return f"{pool}-gateway"


def gateway_binding_name(pool: str, role: str) -> str:
    """Return the name of the RoleBinding of the gateway's agent; with the role in it, which no update of a binding can change."""
    return f"{pool}-{role}"


def jobs_name(pool: str) -> str:
    """Return the name of what belongs to the jobs API: Deployment, headless Service, NetworkPolicy, disruption budget; and of the
    ServiceAccount of all pods of jobs."""
    return f"{pool}-jobs"


def dispatch_name(pool: str) -> str:
    """Return the name of what belongs to the dispatchers of jobs: Deployment, NetworkPolicy, disruption budget."""
    return f"{pool}-jobs-dispatch"


def jobs_gateway_name(pool: str) -> str:
    """Return the name of the Service by which dispatchers reach the gateway. Of its own, so that no port of it is ever exposed."""
    return f"{pool}-jobs-gateway"


def names_of_jobs(pool: str) -> frozenset[str]:
    """Return the names of all children of jobs."""
    return frozenset({jobs_name(pool), dispatch_name(pool), jobs_gateway_name(pool)})


def worker_account_name(pool: str) -> str:
    """Return the name of the workers' ServiceAccount, and of their NetworkPolicy."""
    return f"{pool}-worker"


def weights_name(pool: str) -> str:
    """Return the name of the cache's claim (made from a template) and of the ConfigMap that lists the live weights."""
    return f"{pool}-weights"


def object_meta(
    pool: InferencePool, name: str, component: str, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a child. The owner reference is added when it is applied, with the uid that was read."""
    return {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": {**common_labels(pool.metadata.name, component), **(labels or {})},
    }


def revision_labels(revision: str) -> dict[str, str]:
    """Return the labels that tell the children of one revision from those of another."""
    return {LABEL_REVISION: revision, LABEL_ROLE: ROLE_WORKER}


def zone_labels(zone: str) -> dict[str, str]:
    """Return the label of one zone; `""` where the nodes carry none."""
    return {LABEL_ZONE: zone}
