"""The ControllerRevision of one revision: the rendered pod template and what it was made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, revision_labels, revision_name


def build_revision(pool: InferencePool, revision: str, number: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ControllerRevision. `data` is immutable once stored, so it is returned exactly as stored."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": object_meta(pool, revision_name(pool.metadata.name, revision), "worker", revision_labels(revision)),
        "revision": number,
        "data": dict(data),
    }
