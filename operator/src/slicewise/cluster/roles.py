"""What a pod is to a pool: by its owner, because anyone can write a label. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from slicewise.api import labels
from slicewise.cluster.records import controller_of
from slicewise.manifests.metadata import deployment_name, dispatch_name, fallback_name, gateway_name, jobs_name

_DEPLOYMENTS: Final[Mapping[str, Callable[[str], str]]] = {
    labels.ROLE_GATEWAY: gateway_name,
    labels.ROLE_FALLBACK: fallback_name,
    labels.ROLE_JOBS: jobs_name,
    labels.ROLE_DISPATCH: dispatch_name,
}
"""Role → name of its Deployment, of which a pool has one. The gateway's counters decide what becomes of a canary."""


def role_of(body: Mapping[str, Any], pool: str) -> str | None:
    """Return the role that a pod has for that pool; None for one that only looks like it."""
    marks = body["metadata"].get("labels") or {}
    role = str(marks.get(labels.LABEL_ROLE))
    if role in _DEPLOYMENTS:
        return role if _is_made_for(body, _DEPLOYMENTS[role](pool)) else None
    return labels.ROLE_WORKER if _is_worker(body, pool) else None


def _is_worker(body: Mapping[str, Any], pool: str) -> bool:
    """Whether a pod belongs to a Deployment of that pool's workers: by its owner, because anyone can write a label."""
    marks = body["metadata"].get("labels") or {}
    name = deployment_name(pool, str(marks.get(labels.LABEL_ZONE, "")), str(marks.get(labels.LABEL_REVISION, "")))
    return _is_made_for(body, name)


def _is_made_for(body: Mapping[str, Any], deployment: str) -> bool:
    """Whether a pod's owner is a ReplicaSet of that Deployment: it has its name, with a hash of the template behind it."""
    owner = controller_of(body) or {}
    if owner.get("kind") != "ReplicaSet" or not str(owner.get("apiVersion", "")).startswith("apps/"):
        return False
    return str(owner.get("name", "")).rpartition("-")[0] == deployment
