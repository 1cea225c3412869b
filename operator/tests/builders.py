"""Builders of pools for tests: a valid default, plus what the test is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicewise.api.labels import API_VERSION, KIND
from slicewise.api.v1alpha1 import InferencePool, parse_pool

DIGEST = "sha256:" + "0123456789abcdef" * 4


def pool_object(name: str = "chat", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """Return an InferencePool as a user writes it. Keywords replace whole fields of the spec (camelCase; None removes)."""
    default = {
        "model": {"source": "https://models.example.com/small.gguf", "digest": DIGEST},
        "slice": {"resource": "nvidia.com/mig-1g.10gb"},
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
