"""Objects for tests, with defaults: a test names only what it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from slicewise.api.labels import API_VERSION, KIND
from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.manifests.installation import Installation
from slicewise.pool.observed import ObservedNode, ObservedPod, ObservedPool

MIG = "nvidia.com/mig-1g.10gb"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def pool_object(name: str = "chat", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """Return an InferencePool as a user writes it. Keywords replace whole fields of the spec (camelCase; None removes)."""
    default = {
        "model": {"source": "https://models.example.com/small.gguf", "digest": DIGEST},
        "slice": {"resource": MIG},
    }
    fields = {key: value for key, value in {**default, **spec}.items() if value is not None}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": fields,
    }


def make_pool(
    name: str = "chat",
    namespace: str = "default",
    *,
    uid: str = "00000000-0000-0000-0000-000000000001",
    generation: int = 1,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> InferencePool:
    """Return a pool as the operator reads it. Raises AssertionError when it is not valid."""
    obj = pool_object(name, namespace, **spec)
    obj["metadata"] |= {"uid": uid, "generation": generation, "resourceVersion": "1"}
    parsed = parse_pool({**obj, "status": dict(status or {})})
    assert isinstance(parsed, InferencePool), parsed
    return parsed


def make_node(name: str, zone: str, slices: int = 2, resource: str = MIG, **fields: Any) -> ObservedNode:
    """Return a node that offers `slices` slices of 9,728 MiB."""
    return ObservedNode(
        name=name,
        zone=zone,
        allocatable={resource: slices},
        slice_memory={resource: Bytes.from_mib_label("9728")},
        **fields,
    )


def three_zones(slices: int = 2) -> tuple[ObservedNode, ...]:
    """Return one node in each of the zones a, b, c."""
    return tuple(make_node(f"node-{zone}", zone, slices) for zone in "abc")


def make_pod(name: str, revision: str, zone: str, **fields: Any) -> ObservedPod:
    """Return a ready worker on the node of its zone."""
    defaults: dict[str, Any] = {
        "uid": f"uid-{name}",
        "node": f"node-{zone}",
        "phase": "Running",
        "ready": True,
        "resource": MIG,
    }
    return ObservedPod(name=name, revision=revision, zone=zone, **(defaults | fields))


def make_observed(**fields: Any) -> ObservedPool:
    """Return what is observed of a pool that has nothing yet, on three nodes with two slices each.

    Keywords: fields of `ObservedPool`, with `status` as stored, and fields of its `Installation`.
    """
    here = {item.name: fields.pop(item.name) for item in dataclasses.fields(Installation) if item.name in fields}
    installation = Installation(**({"worker_image": "slicewise-worker:test"} | here))
    status = PoolStatus.read(fields.pop("status", {}))
    return ObservedPool(**({"nodes": three_zones(), "status": status, "installation": installation} | fields))
