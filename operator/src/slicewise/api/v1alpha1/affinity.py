"""Affinity of pods to nodes and to other pods: Kubernetes' own fields, bounded. What is ours is added to it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import WholeNumber

Text = Annotated[str, Field(max_length=317)]
Weight = Annotated[WholeNumber, Field(ge=1, le=100)]


class KubernetesType(ApiModel):
    """A type of Kubernetes' own."""

    kubernetes = True


class NodeOperator(StrEnum):
    """How a node's label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class PodOperator(StrEnum):
    """How a pod's label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class NodeRequirement(KubernetesType):
    """A node's label and the values that it may have."""

    key: Text
    operator: NodeOperator
    values: Annotated[tuple[Text, ...], Field(max_length=32)] | None = None


class NodeTerm(KubernetesType):
    """Requirements that all hold."""

    match_expressions: Annotated[tuple[NodeRequirement, ...], Field(min_length=1, max_length=8)]


class RequiredNodes(KubernetesType):
    """Terms of which one holds. The operator adds the zone to each."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], Field(min_length=1, max_length=8)]


class PreferredNodes(KubernetesType):
    """A term and what it is worth."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(KubernetesType):
    """Nodes by their labels."""

    required_during_scheduling_ignored_during_execution: RequiredNodes | None = None
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredNodes, ...], Field(max_length=8)] | None
    ) = None


class PodRequirement(KubernetesType):
    """A pod's label and the values that it may have."""

    key: Text
    operator: PodOperator
    values: Annotated[tuple[Text, ...], Field(max_length=32)] | None = None


class PodSelector(KubernetesType):
    """Pods by their labels."""

    match_labels: Annotated[dict[str, Text], Field(max_length=16)] | None = None
    match_expressions: Annotated[tuple[PodRequirement, ...], Field(max_length=8)] | None = None


class PodTerm(KubernetesType):
    """Pods, and the node label within whose value they count as near."""

    label_selector: PodSelector | None = None
    namespaces: Annotated[tuple[Text, ...], Field(max_length=8)] | None = None
    topology_key: Text


class PreferredPods(KubernetesType):
    """A term and what it is worth."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(KubernetesType):
    """Nearness to other pods."""

    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodTerm, ...], Field(max_length=4)] | None = (
        None
    )
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredPods, ...], Field(max_length=4)] | None
    ) = None


class Affinity(ApiModel):
    """Affinity as in a pod's spec. The operator adds the zone to what is required of a worker's node."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None
