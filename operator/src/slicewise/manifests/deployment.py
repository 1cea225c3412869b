"""The Deployment of one revision in one zone: the stored pod template, a node selector for the zone, a number. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slicewise.api.labels import LABEL_REVISION, zone_selector
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.marks import is_label_key, is_label_value
from slicewise.manifests.metadata import deployment_name, object_meta, revision_labels, zone_labels

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def build_deployment(
    pool: InferencePool, revision: str, template: Mapping[str, Any], zone: str, replicas: int
) -> dict[str, Any]:
    """Return the Deployment that runs `replicas` workers of `revision` in `zone`.

    `template`: the pod template as it is stored with the revision, without anything of the zone. A rolling update never
    surges, because a surge would ask for a slice beyond the plan; the template changes only with the topology key. Labels and
    annotations that the pool gives its workers are on the Deployment at once; on pods they are as their revision was rendered,
    without those that the API server refuses: an older version stored them, and to correct them starts no revision.
    """
    labels = {**revision_labels(revision), **zone_labels(zone)}
    marks = _taken(template["metadata"])
    marks["labels"] = {**marks.get("labels", {}), **zone_labels(zone)}
    affinity = _in_zone(template["spec"].get("affinity") or {}, pool.spec.zones.topology_key, zone)
    pod = {**template, "metadata": marks, "spec": {**template["spec"], "affinity": affinity}}
    own = (pool.spec.worker.labels if pool.spec.worker else None) or {}
    metadata = object_meta(pool, deployment_name(pool.metadata.name, zone, revision), "worker", {**labels})
    metadata["labels"] = {**own, **metadata["labels"]}
    if pool.spec.worker is not None and pool.spec.worker.annotations:
        metadata["annotations"] = dict(pool.spec.worker.annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": {**zone_selector(pool.metadata.name, zone), LABEL_REVISION: revision}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": pod,
        },
    }


def _taken(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a stored template with those labels and annotations that the API server takes."""
    taken = dict(metadata)
    if "labels" in taken:
        pairs = taken["labels"].items()
        taken["labels"] = {key: value for key, value in pairs if is_label_key(key) and is_label_value(value)}
    if "annotations" in taken:
        taken["annotations"] = {key: value for key, value in taken["annotations"].items() if is_label_key(key)}
    return taken


def _in_zone(affinity: Mapping[str, Any], topology_key: str, zone: str) -> dict[str, Any]:
    """Return the pool's affinity with the zone in each term that is required; the zone `""` is that of the nodes without the label."""
    if zone == "":
        expression: dict[str, Any] = {"key": topology_key, "operator": "DoesNotExist"}
    else:
        expression = {"key": topology_key, "operator": "In", "values": [zone]}
    nodes = affinity.get("nodeAffinity") or {}
    terms = (nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    in_zone = [{**term, "matchExpressions": [*(term.get("matchExpressions") or ()), expression]} for term in terms]
    return {**affinity, "nodeAffinity": {**nodes, _REQUIRED: {"nodeSelectorTerms": in_zone}}}
