"""Where a pool's pods without a slice may run: those of the gateway and of jobs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.placement import PodPlacement, TopologySpread, Unsatisfiable
from slicewise.manifests.shape import LOST_NODE, plain, spread_over


def spread_and_placed(pool: InferencePool, shape: PodPlacement, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a pod's spec that say where it may run. `selector`: the labels of the pods of its kind.

    Spread over zones first, then over nodes, unless it is said otherwise; a preference, for a cluster of one node runs them all.
    """
    key = pool.spec.zones.topology_key
    spread = shape.topology_spread_constraints or (_anywhere(key), _anywhere("kubernetes.io/hostname"))
    fields = {
        "topologySpreadConstraints": spread_over(spread, selector),
        "nodeSelector": dict(shape.node_selector or {}),
        "tolerations": [*map(dict, LOST_NODE), *map(plain, shape.tolerations or ())],
        "affinity": plain(shape.affinity) if shape.affinity else {},
        "priorityClassName": shape.priority_class_name,
    }
    return {name: value for name, value in fields.items() if value}


@lru_cache(maxsize=16)
def _anywhere(key: str) -> TopologySpread:
    return TopologySpread(max_skew=1, topology_key=key, when_unsatisfiable=Unsatisfiable.SCHEDULE_ANYWAY)
