"""Placement: which nodes a worker may run on, by its selector, its node affinity and what it tolerates. Pure.

Read from a pod template, so a stored revision is judged by what it was rendered with. Says what the scheduler would say of these
parts (Kubernetes, "Assigning Pods to Nodes" and "Taints and Tolerations"); the rest is the scheduler's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slicewise.manifests.shape import TOLERATED
from slicewise.pool.observed import ObservedNode, Taint


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the workers of one revision may be."""

    selector: Mapping[str, str]
    terms: tuple[Mapping[str, Any], ...]
    """Terms of required node affinity, of which one must hold; empty: none is asked for."""
    tolerations: tuple[Mapping[str, Any], ...]

    @property
    def chooses(self) -> bool:
        """Whether labels of nodes matter at all."""
        return bool(self.selector or self.terms)


def read_placement(pod: Mapping[str, Any]) -> Placement:
    """Return the placement that a pod's spec says."""
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return Placement(
        selector=pod.get("nodeSelector") or {},
        terms=tuple(required.get("nodeSelectorTerms") or ()),
        tolerations=tuple(pod.get("tolerations") or TOLERATED),
    )


def placed_nodes(placement: Placement, nodes: Iterable[ObservedNode]) -> tuple[ObservedNode, ...]:
    """Return the nodes as that placement sees them: `excluded` where labels keep workers away, `tainted` where a taint does."""
    return tuple(_seen(placement, node) for node in nodes)


def closed_nodes(nodes: Iterable[ObservedNode]) -> frozenset[str]:
    """Return the names of the nodes that workers may not use. `nodes`: as their placement sees them."""
    return frozenset(node.name for node in nodes if node.tainted or node.excluded)


def _seen(placement: Placement, node: ObservedNode) -> ObservedNode:
    excluded = placement.chooses and not _chosen(placement, node)
    tainted = bool(untolerated(placement, node.taints)) if node.taints else node.tainted
    if (excluded, tainted) == (node.excluded, node.tainted):
        return node
    return replace(node, excluded=excluded, tainted=tainted)


def untolerated(placement: Placement, taints: Sequence[Taint]) -> list[Taint]:
    """Return the taints that keep new workers off a node, or throw them off it."""
    return [
        taint
        for taint in taints
        if taint.effect != "PreferNoSchedule" and not any(tolerates(item, taint) for item in placement.tolerations)
    ]


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Return whether a toleration is about that taint."""
    if toleration.get("effect") not in {None, "", taint.effect}:
        return False
    if toleration.get("key") not in {None, "", taint.key}:
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == taint.value


def _chosen(placement: Placement, node: ObservedNode) -> bool:
    if any(node.labels.get(key) != value for key, value in placement.selector.items()):
        return False
    return not placement.terms or any(_term_holds(term, node) for term in placement.terms)


def _term_holds(term: Mapping[str, Any], node: ObservedNode) -> bool:
    expressions = term.get("matchExpressions") or ()
    return bool(expressions) and all(_holds(item, node.labels) for item in expressions)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    present = labels.get(str(expression.get("key")))
    values = [str(value) for value in expression.get("values") or ()]
    match expression.get("operator"):
        case "In":
            return present in values
        case "NotIn":
            return present not in values
        case "Exists":
            return present is not None
        case "DoesNotExist":
            return present is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, present, values)
        case _:
            return False


def _compares(operator: str, present: str | None, values: list[str]) -> bool:
    try:
        have, bound = int(present or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return have > bound if operator == "Gt" else have < bound
