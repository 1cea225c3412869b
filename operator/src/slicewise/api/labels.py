"""Names that Slicewise puts on objects: API group, labels, annotations, field manager.

The one place that spells them. Read by every layer; holds no logic beyond assembling a label set.
"""

from __future__ import annotations

from typing import Final

GROUP: Final = "slicewise.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "InferencePool"
PLURAL: Final = "inferencepools"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER: Final = "slicewise"
"""Field manager of every server-side apply by the operator, to children and to `/status`."""

PART_OF: Final = "slicewise"
MANAGED_BY: Final = "slicewise"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"

LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_ZONE: Final = f"{GROUP}/zone"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_ROLE: Final = f"{GROUP}/role"

ROLE_WORKER: Final = "worker"
"""A pod that serves the pool's model on a slice; budgets and the Services of revisions select this role."""
ROLE_FALLBACK: Final = "fallback"
"""A pod that serves on CPU while no slice does. No floor, budget of a zone or Service of a revision counts it."""
FALLBACK: Final = "cpu-fallback"
"""What stands in place of a revision in answers, logs and metrics of the fallback's workers."""
ROLE_JOBS: Final = "jobs"
"""A pod of the pool's API of jobs."""
ROLE_DISPATCH: Final = "jobs-dispatch"
"""A dispatcher of the pool's jobs."""
ROLE_GATEWAY: Final = "gateway"
"""A pod of the pool's gateway; the Service that clients use selects this role."""

ANNOTATION_APPLIED: Final = f"{GROUP}/applied"
"""On each child: hash of the manifest that was applied, so that a field the plan dropped is noticed."""

ANNOTATION_REQUEST: Final = f"{GROUP}/rollout-request"
"""On the pool, written by the user's tools and only read by the operator: a request about the rollout that is under way."""

ANNOTATION_HELD: Final = f"{GROUP}/held-since"
"""On a zone's budget while it is raised for a scale-down: since when, RFC 3339."""

ANNOTATION_START: Final = f"{GROUP}/gateway-start"
"""On the gateway's pods: version of what they were started with, which only a new pod changes."""

ANNOTATION_WAKING: Final = f"{GROUP}/waking"
"""On the ConfigMap of a gateway: how far the pool's workers are while none serves, in JSON."""

ZONE_KEY: Final = "topology.kubernetes.io/zone"
"""Node label that names the zone, unless `spec.zones.topologyKey` says otherwise."""

MANAGED_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
"""Label selector that every watch on a child kind uses."""


def common_labels(pool: str, component: str) -> dict[str, str]:
    """Return the labels that all children of `pool` carry."""
    return {
        LABEL_NAME: PART_OF,
        LABEL_COMPONENT: component,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_PART_OF: PART_OF,
        LABEL_POOL: pool,
    }


def worker_selector(pool: str) -> dict[str, str]:
    """Return the labels that select every worker of `pool`, whatever its revision or zone."""
    return {LABEL_POOL: pool, LABEL_ROLE: ROLE_WORKER}


def fallback_selector(pool: str) -> dict[str, str]:
    """Return the labels that select the workers of the CPU fallback of `pool`."""
    return {LABEL_POOL: pool, LABEL_ROLE: ROLE_FALLBACK}


def gateway_selector(pool: str) -> dict[str, str]:
    """Return the labels that select the pods of the gateway of `pool`."""
    return {LABEL_POOL: pool, LABEL_ROLE: ROLE_GATEWAY}


def jobs_selector(pool: str) -> dict[str, str]:
    """Return the labels that select the pods of the API of jobs of `pool`."""
    return {LABEL_POOL: pool, LABEL_ROLE: ROLE_JOBS}


def dispatch_selector(pool: str) -> dict[str, str]:
    """Return the labels that select the dispatchers of jobs of `pool`."""
    return {LABEL_POOL: pool, LABEL_ROLE: ROLE_DISPATCH}


def zone_selector(pool: str, zone: str) -> dict[str, str]:
    """Return the labels that select the workers of `pool` in one zone, over all revisions."""
    return {**worker_selector(pool), LABEL_ZONE: zone}


def budget_selector(pool: str, zone: str) -> dict[str, str]:
    """Return the labels that the budget of a zone selects: only pods that are watched, so that all that it counts is known."""
    return {**zone_selector(pool, zone), LABEL_MANAGED_BY: MANAGED_BY}
