"""Is a status what the API declares? The API server drops undeclared fields silently, so tests look here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from slicewise.api.labels import ANNOTATION_HELD, ANNOTATION_START, LABEL_ZONE
from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1 import CONDITIONS
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.pool.observed import GatewayInfo, ObservedBudget, ObservedGatewayPod, ObservedPod
from slicewise.pool.rollout.times import read_time

_SCHEMA: Final = structural_schema(PoolStatus)
_DECLARED: Final = {(str(kind), str(reason)) for kind, declared in CONDITIONS.items() for reason in declared.reasons}
"""Condition type and reason, each pair that the API declares."""


def undeclared(status: Mapping[str, Any]) -> list[str]:
    """Return what in a status the API does not declare: fields, condition types, reasons of a condition."""
    return [*_fields(_SCHEMA, status, "status"), *_conditions(status)]


def _fields(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name in schema["properties"]:
                yield from _fields(schema["properties"][name], child, f"{path}.{name}")
            else:
                yield f"{path}.{name} is not in the schema"
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _fields(schema["items"], child, f"{path}[]")


def _conditions(status: Mapping[str, Any]) -> Iterator[str]:
    for item in status.get("conditions", ()):
        if (item["type"], item["reason"]) not in _DECLARED:
            yield f"condition {item['type']} does not declare the reason {item['reason']}"


def in_zone(child: dict[str, Any]) -> bool:
    """Whether a child is one of a zone's; the gateway's are not."""
    return LABEL_ZONE in child["metadata"]["labels"]


def read_budgets(children: Iterable[Mapping[str, Any]]) -> tuple[dict[str, int], dict[str, float]]:
    """Return zone → `minAvailable` of its budget, and zone → since when that is raised, of those that are."""
    here = [child for child in children if child["kind"] == "PodDisruptionBudget" and in_zone(child)]
    least = {child["metadata"]["labels"][LABEL_ZONE]: child["spec"]["minAvailable"] for child in here}
    since = {
        child["metadata"]["labels"][LABEL_ZONE]: read_time(
            child["metadata"].get("annotations", {}).get(ANNOTATION_HELD)
        )
        for child in here
    }
    return least, {zone: when for zone, when in since.items() if when is not None}


def programmed(pool: str, wanted: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[ObservedGatewayPod, ...]:
    """Return the gateway's pods, which have taken in their configuration. `wanted`: (kind, name) → child."""
    name = f"{pool}-gateway"
    files, deployment = wanted["ConfigMap", name]["data"], wanted["Deployment", name]["spec"]
    version = json.loads(files["agent.json"])["version"]
    started_with = deployment["template"]["metadata"]["annotations"][ANNOTATION_START]
    info = GatewayInfo(version, version, programmed=True, reason="Programmed", message="")
    return tuple(
        ObservedGatewayPod(f"{name}-{number}", ready=True, started_with=started_with, info=info)
        for number in range(deployment["replicas"])
    )


def seen_budgets(
    budgets: Mapping[str, int], held: Mapping[str, float], pods: Iterable[ObservedPod]
) -> list[ObservedBudget]:
    """Return the budgets as a disruption controller has seen them that loses no time. `budgets`: zone → `minAvailable`."""
    counted = Counter(pod.zone for pod in pods if pod.ready and not pod.terminating)
    return [
        ObservedBudget(zone, least, held.get(zone), seen=True, healthy=counted[zone]) for zone, least in budgets.items()
    ]
