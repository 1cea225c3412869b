"""What pods of workers and of gateways have alike: resources, the nodes they may run on, labels and annotations."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from slicewise.api.labels import GROUP, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_NAME, LABEL_PART_OF
from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.affinity import Affinity
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.marks import FREE_ANNOTATIONS, LABEL_KEYS, LABEL_VALUES
from slicewise.api.v1alpha1.resources import Resources, every_key
from slicewise.api.v1alpha1.scalars import LabelKey, ObjectName, WholeNumber

OWN_LABELS: Final = (LABEL_NAME, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_PART_OF)
_LISTED: Final = "[" + ", ".join(f"'{name}'" for name in OWN_LABELS) + "]"
_OURS: Final = (
    "keys of the operator: {count}; leave out slicewise.dev/… and the name, component, managed-by and part-of of app.kubernetes.io, and "
    "write others, such as team"
)


class TolerationOperator(StrEnum):
    """How a taint's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """Lets pods onto nodes with a taint."""

    key: Annotated[
        LabelKey,
        Rule(
            cel="!self.startsWith('node.kubernetes.io/')",
            holds=lambda key: not key.startswith("node.kubernetes.io/"),
            message="'{value}' is the cluster's own taint, and what pods do about it is the operator's: leave this toleration out",
            expects="no key of node.kubernetes.io/",
        ),
    ]
    operator: TolerationOperator | None = None
    """Default: `Equal`."""
    value: Annotated[str, Field(max_length=63)] | None = None
    effect: TaintEffect | None = None
    """Default: all."""
    toleration_seconds: Annotated[WholeNumber, Field(ge=0, le=86400)] | None = None

    rules = (
        Rule(
            cel="!(has(self.operator) && self.operator == 'Exists' && has(self.value) && self.value != '')",
            holds=lambda item: not (item.operator is TolerationOperator.EXISTS and item.value),
            message="operator Exists takes no value, found '{value}': leave value out, or write operator: Equal",
            expects="no value beside operator Exists",
            values={"value": ("self.value", lambda item: item.value)},
            field="value",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            holds=lambda item: item.toleration_seconds is None or item.effect is TaintEffect.NO_EXECUTE,
            message="tolerationSeconds {seconds} needs effect: NoExecute",
            expects="tolerationSeconds with effect: NoExecute only",
            values={"seconds": ("self.tolerationSeconds", lambda item: item.toleration_seconds)},
            field="tolerationSeconds",
        ),
    )


class Unsatisfiable(StrEnum):
    """What happens where pods cannot be spread so."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class TopologySpread(ApiModel):
    """Spread over the values of a node label. The operator adds the selector: the pool's own pods of this kind."""

    max_skew: Annotated[WholeNumber, Field(ge=1, le=100)]
    topology_key: LabelKey
    when_unsatisfiable: Unsatisfiable


NodeLabels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16), LABEL_KEYS, LABEL_VALUES]
Labels = Annotated[
    dict[str, Annotated[str, Field(max_length=63)]],
    Field(max_length=16),
    LABEL_KEYS,
    LABEL_VALUES,
    every_key(
        f"!k.startsWith('{GROUP}/') && !(k in {_LISTED})",
        lambda _value, key: not key.startswith(f"{GROUP}/") and key not in OWN_LABELS,
        _OURS,
        "keys that are not the operator's",
    ),
]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=16),
    LABEL_KEYS,
    FREE_ANNOTATIONS,
    every_key(
        f"!k.startsWith('{GROUP}/')",
        lambda _value, key: not key.startswith(f"{GROUP}/"),
        _OURS,
        "keys that are not the operator's",
    ),
]


class PodPlacement(ApiModel):
    """Resources, nodes and marks of pods."""

    resources: Resources | None = None
    node_selector: NodeLabels | None = None
    """Labels that a node must have. Slices on other nodes do not count."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] | None = None
    """Taints that pods tolerate, besides `nvidia.com/gpu` and, for 30 s, a node that is lost."""
    affinity: Affinity | None = None
    topology_spread_constraints: Annotated[tuple[TopologySpread, ...], Field(max_length=4)] | None = None
    """Spread over node labels."""
    priority_class_name: ObjectName | None = None
    """A PriorityClass of the cluster."""
    labels: Labels | None = None
    """More labels of the pods."""
    annotations: Annotations | None = None
    """More annotations of the pods."""
