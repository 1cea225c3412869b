"""The PodDisruptionBudget of one zone. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import zone_selector
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import budget_name, object_meta, zone_labels


def build_disruption_budget(pool: InferencePool, zone: str, floor: int) -> dict[str, Any] | None:
    """Return the budget that keeps `floor` ready workers in `zone`, over all revisions; None where the floor is 0.

    An integer `minAvailable`: with a percentage or `maxUnavailable` the disruption controller would count against the scale of
    each pod's own controller, and a zone has one Deployment per revision. A worker that is not ready may always be evicted.
    """
    if floor <= 0:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": object_meta(pool, budget_name(pool.metadata.name, zone), "worker", zone_labels(zone)),
        "spec": {
            "minAvailable": floor,
            "selector": {"matchLabels": zone_selector(pool.metadata.name, zone)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
