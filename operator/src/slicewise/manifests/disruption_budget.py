"""PodDisruptionBudgets: one for the workers of each zone, one for each other Deployment of a pool. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slicewise.api.labels import ANNOTATION_HELD, budget_selector, gateway_selector
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import budget_name, gateway_name, object_meta, zone_labels


@dataclass(frozen=True, slots=True)
class Hold:
    """A budget that is raised while workers of its zone are scaled down (`pool/holding.py`)."""

    least: int
    """Ready workers that evictions leave meanwhile."""
    since: float
    """Seconds since the epoch."""


def build_disruption_budget(
    pool: InferencePool, zone: str, floor: int, hold: Hold | None = None
) -> dict[str, Any] | None:
    """Return the budget that keeps `floor` ready workers in `zone`, over all revisions; None where the floor is 0.

    An integer `minAvailable`: with a percentage or `maxUnavailable` the disruption controller would count against the scale of
    each pod's own controller, and a zone has one Deployment per revision. A worker that is not ready may always be evicted.
    """
    if floor <= 0:
        return None
    metadata = object_meta(pool, budget_name(pool.metadata.name, zone), "worker", zone_labels(zone))
    if hold is not None:
        since = datetime.fromtimestamp(int(hold.since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["annotations"] = {ANNOTATION_HELD: since}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "minAvailable": floor if hold is None else hold.least,
            "selector": {"matchLabels": budget_selector(pool.metadata.name, zone)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def build_gateway_budget(pool: InferencePool, replicas: int) -> dict[str, Any] | None:
    """Return the gateway's budget; None for a single pod."""
    name = pool.metadata.name
    return one_at_a_time(pool, gateway_name(name), "gateway", gateway_selector(name), replicas)


def one_at_a_time(
    pool: InferencePool, name: str, component: str, selector: Mapping[str, str], replicas: int
) -> dict[str, Any] | None:
    """Return a budget by which drains take one pod at a time; None for a single one, which would hold up every drain."""
    if replicas < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": object_meta(pool, name, component),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(selector)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
