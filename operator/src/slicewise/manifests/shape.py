"""How a pod is shaped: what the installation gives and what the pool writes over it, in one value. Pure.

The pool wins, part by part:

* maps (`nodeSelector`, `labels`, `annotations`) and security contexts: key by key;
* `resources`: resource by resource, so a request of the pool never meets a limit of the installation;
* lists with names (`env`, `volumes`, `volumeMounts`, `imagePullSecrets`): by name (mounts: by path);
* `tolerations` and `envFrom`: the installation's first, then the pool's;
* `affinity`: each of `nodeAffinity`, `podAffinity` and `podAntiAffinity` as a whole;
* everything else: as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.placement import PodPlacement, TopologySpread

Shape = TypeVar("Shape", bound=PodPlacement)


def merge(installation: Shape, pool: Shape | None) -> Shape:
    """Return the shape of the pods: the pool's over the installation's."""
    if pool is None:
        return installation
    merged = {}
    for name in type(installation).model_fields:
        low, high = getattr(installation, name), getattr(pool, name)
        if low is None or high is None:
            merged[name] = low if high is None else high
        else:
            merged[name] = _MERGES.get(name, _over)(low, high)
    return installation.model_copy(update=merged)


def plain(value: ApiModel) -> dict[str, Any]:
    """Return a part of the API as Kubernetes writes it, without what is not set."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _over(_low: Any, high: Any) -> Any:
    return high


def _by_key(low: Mapping[str, str], high: Mapping[str, str]) -> dict[str, str]:
    return {**low, **high}


def _by_field(low: ApiModel, high: ApiModel) -> ApiModel:
    written = {name: value for name in type(high).model_fields if (value := getattr(high, name)) is not None}
    return low.model_copy(update=written)


def _one_after_another(low: tuple[Any, ...], high: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*(item for item in low if item not in high), *high)


def _by(attribute: str) -> Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]:
    def merge_lists(low: tuple[Any, ...], high: tuple[Any, ...]) -> tuple[Any, ...]:
        taken = {getattr(item, attribute) for item in high}
        return (*(item for item in low if getattr(item, attribute) not in taken), *high)

    return merge_lists


def _by_resource(low: Any, high: Any) -> Any:
    named = {*(high.requests or {}), *(high.limits or {})}
    return low.model_copy(
        update={
            part: {name: amount for name, amount in (getattr(low, part) or {}).items() if name not in named}
            | (getattr(high, part) or {})
            for part in ("requests", "limits")
        }
    )


_MERGES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "node_selector": _by_key,
    "labels": _by_key,
    "annotations": _by_key,
    "resources": _by_resource,
    "pod_security_context": _by_field,
    "container_security_context": _by_field,
    "affinity": _by_field,
    "tolerations": _one_after_another,
    "env_from": _one_after_another,
    "env": _by("name"),
    "volumes": _by("name"),
    "image_pull_secrets": _by("name"),
    "volume_mounts": _by("mount_path"),
}

LOST_NODE: Final[tuple[Mapping[str, Any], ...]] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
)
"""Of every worker and gateway: a lost node gives up its pods after 30 s instead of 300."""
TOLERATED: Final[tuple[Mapping[str, Any], ...]] = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    *LOST_NODE,
)
"""Of every worker: GPU nodes are commonly tainted."""


def placed(shape: PodPlacement) -> dict[str, Any]:
    """Return where a worker may run, as fields of a pod's spec: `tolerations`, and `nodeSelector` and `affinity` where there are any.

    Without the zone, which `build_deployment` adds. What counts slices reads these fields (`pool/placement.py`).
    """
    fields: dict[str, Any] = {"tolerations": [*map(dict, TOLERATED), *map(plain, shape.tolerations or ())]}
    if shape.node_selector:
        fields["nodeSelector"] = dict(shape.node_selector)
    if shape.affinity is not None and plain(shape.affinity):
        fields["affinity"] = plain(shape.affinity)
    return fields


def spread_over(constraints: tuple[TopologySpread, ...] | None, selector: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return topology spread constraints with the labels of the pods that they spread."""
    return [{**plain(item), "labelSelector": {"matchLabels": dict(selector)}} for item in constraints or ()]
