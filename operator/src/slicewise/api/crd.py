"""The CustomResourceDefinition of InferencePool, made from the models. Pure; `operator/tools/generate.py` writes it."""

from __future__ import annotations

from typing import Any, Final

from slicewise.api.labels import GROUP, KIND, PLURAL, VERSION, ZONE_KEY
from slicewise.api.rules import Rule, Transition, matches
from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1.inferencepool import ADAPTER_NAME_RULE
from slicewise.api.v1alpha1.parse import NAME_LENGTH, NAME_MESSAGE, NAME_PATTERN
from slicewise.api.v1alpha1.spec import PoolSpec
from slicewise.api.v1alpha1.status import PoolStatus

SHORT_NAME: Final = "ipool"
CATEGORY: Final = "inference"

COLUMNS: Final = (
    ("MODEL", "string", ".status.model", 0, "What clients send as model."),
    ("REVISION", "string", ".status.revisions.stable", 0, "The revision that serves."),
    ("DESIRED", "integer", ".status.desired", 0, "Workers that the pool should have."),
    ("READY", "integer", ".status.readyReplicas", 0, "Workers that serve."),
    ("CANARY", "string", ".status.revisions.canary", 0, "The revision that is taking over."),
    ("SLICE", "string", ".status.slice.resource", 0, "What each worker runs on."),
    ("STATUS", "string", '.status.conditions[?(@.type=="Ready")].reason', 0, "Reason of the condition Ready."),
    ("AGE", "date", ".metadata.creationTimestamp", 0, "Time since the pool was made."),
    ("ENDPOINT", "string", ".status.endpoint", 1, "URL for clients."),
    ("MESSAGE", "string", '.status.conditions[?(@.type=="Ready")].message', 1, "Message of the condition Ready."),
)
"""Columns of `kubectl get ipool`: name, type, path, priority (1: only with -o wide), description."""

_NAME_RULE: Final = Rule(
    cel=f"size(self.metadata.name) <= {NAME_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    holds=lambda pool: len(pool.metadata.name) <= NAME_LENGTH and matches(NAME_PATTERN)(pool.metadata.name),
    message=NAME_MESSAGE,
    expects=f"a name of at most {NAME_LENGTH} small letters, digits and '-', beginning with a letter",
    values={"value": ("self.metadata.name", lambda pool: pool.metadata.name)},
)


def _topology_key(pool: str) -> str:
    field = f"{pool}.spec.zones"
    return f"(has({field}) && has({field}.topologyKey) ? {field}.topologyKey : '{ZONE_KEY}')"


_TOPOLOGY_RULE: Final = Transition(
    f"{_topology_key('self')} == {_topology_key('oldSelf')} || "
    "!has(self.status) || !has(self.status.replicas) || self.status.replicas == 0",
    "zones.topologyKey cannot change while the pool has workers, because it would restart the workers of each zone together: "
    "write the old key, or set suspend: true, wait until status.replicas is 0, and change it then",
    field=".spec.zones.topologyKey",
)
"""The key stands in the node affinity of workers, so its change rolls out a Deployment that may have a single worker."""


def build_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition as a plain dict, the same on every call."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": text} | ({"priority": wide} if wide else {})
            for name, kind, path, wide, text in COLUMNS
        ],
        "selectableFields": [{"jsonPath": ".spec.model.name"}, {"jsonPath": ".spec.suspend"}],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _schema()},
    }


def _schema() -> dict[str, Any]:
    status = structural_schema(PoolStatus)
    # kstatus takes a new object without this for finished before anybody has looked at it.
    status["default"] = {"observedGeneration": -1}
    return {
        "description": "A model served from GPU slices: one worker a slice.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural_schema(PoolSpec),
            "status": status,
        },
        "x-kubernetes-validations": [rule.schema() for rule in (_NAME_RULE, ADAPTER_NAME_RULE, _TOPOLOGY_RULE)],
    }
