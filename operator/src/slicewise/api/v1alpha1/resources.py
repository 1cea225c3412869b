"""CPU, memory and scratch space of a container, as Kubernetes writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from slicewise.api.quantity import parse_quantity
from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import Quantity

NAMES: Final = ("cpu", "memory", "ephemeral-storage")
_LISTED: Final = "[" + ", ".join(f"'{name}'" for name in NAMES) + "]"


def every_key(keeps: str, check: Callable[[Any, str], bool], message: str, expects: str) -> Rule:
    """Return the rule that every key `k` of a map keeps something (`keeps` in CEL, `check` in Python).

    `message` may say how many do not as `{count}`; to name them would be too dear by the API server's estimate, since nothing bounds
    the length of a key.
    """
    return Rule(
        cel=f"self.all(k, {keeps})",
        holds=lambda value: all(check(value, key) for key in value),
        message=message,
        expects=expects,
        values={
            "count": (
                f"size(self.filter(k, !({keeps})))",
                lambda value: sum(not check(value, key) for key in value),
            )
        },
    )


def _is_amount(value: Mapping[str, str], key: str) -> bool:
    try:
        return parse_quantity(value[key]) > 0
    except ValueError:
        return False


ResourceList = Annotated[
    dict[str, Quantity],
    Field(max_length=len(NAMES)),
    every_key(
        f"k in {_LISTED}",
        lambda _value, key: key in NAMES,
        "names that are not for this field: {count}; write cpu, memory or ephemeral-storage (the slice comes from spec.slice)",
        "cpu, memory or ephemeral-storage; the slice comes from spec.slice",
    ),
    every_key(
        "isQuantity(string(self[k])) && quantity(string(self[k])).isGreaterThan(quantity('0'))",
        _is_amount,
        "amounts that are none: {count}; write some above 0, such as 500m of cpu or 4Gi of memory",
        "amounts above 0",
    ),
]
_FITS: Final = (
    "!isQuantity(string(self.requests[k])) || !(k in self.limits) || !isQuantity(string(self.limits[k])) || "
    "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0"
)


def _beyond(resources: Resources) -> list[str]:
    requests, limits = resources.requests or {}, resources.limits or {}
    return [
        name for name in requests if name in limits and parse_quantity(requests[name]) > parse_quantity(limits[name])
    ]


class Resources(ApiModel):
    """CPU, memory and scratch space of a container."""

    requests: ResourceList | None = None
    """What is set aside on the node, as quantities."""
    limits: ResourceList | None = None
    """What may be used at most."""

    rules = (
        Rule(
            cel=f"!has(self.requests) || !has(self.limits) || self.requests.all(k, {_FITS})",
            holds=lambda resources: not _beyond(resources),
            message="requests above their limits: {count}; write at most the limit",
            expects="requests of at most the limits",
            values={
                "count": (
                    f"size(self.requests.filter(k, !({_FITS})))",
                    lambda resources: len(_beyond(resources)),
                )
            },
            field="requests",
        ),
    )
