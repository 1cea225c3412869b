"""The CPU fallback's children: Deployment, Service and disruption budget. Pure.

Its pods are a worker's, rendered for a CPU slice; what the pool and the installation say about the placement of workers is about
nodes with slices, so nothing of it is taken over. They have a role of their own: no floor, budget of a zone or Service of a revision
counts them. Nothing of them is stored in a revision, so a new worker image replaces them one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from slicewise.api.labels import (
    FALLBACK,
    LABEL_REVISION,
    LABEL_ROLE,
    ROLE_FALLBACK,
    common_labels,
    fallback_selector,
)
from slicewise.api.v1alpha1 import CpuFallback, CpuSlice, InferencePool, ModelSpec, RolloutSpec, SliceSpec
from slicewise.manifests.disruption_budget import one_at_a_time
from slicewise.manifests.installation import Installation
from slicewise.manifests.metadata import fallback_name, object_meta
from slicewise.manifests.pod_template import build_pod_template
from slicewise.manifests.service import REVISION_COMPONENT, headless
from slicewise.manifests.shape import LOST_NODE, plain

_OF_SLICES: Final = {
    "node_selector": None,
    "tolerations": None,
    "affinity": None,
    "topology_spread_constraints": None,
    "runtime_class_name": None,
}
"""Of `spec.worker` and the installation's `worker` values: where nodes with slices are."""
_NO_GPU: Final = {"key": "nvidia.com/gpu.present", "operator": "NotIn", "values": ["true"]}
"""Label of GPU feature discovery."""


def build_fallback(pool: InferencePool, installation: Installation, replicas: int) -> list[dict[str, Any] | None]:
    """Return the children of the fallback, in the order in which they are applied; none where the spec has none."""
    if pool.spec.fallback is None:
        return []
    cpu, name = pool.spec.fallback.cpu, fallback_name(pool.metadata.name)
    selector = fallback_selector(pool.metadata.name)
    service = headless(pool, name, REVISION_COMPONENT, selector, {LABEL_REVISION: FALLBACK})
    budget = one_at_a_time(pool, name, ROLE_FALLBACK, selector, cpu.replicas)
    return [service, budget, _deployment(pool, cpu, installation, replicas)]


def _deployment(pool: InferencePool, cpu: CpuFallback, installation: Installation, replicas: int) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(pool, fallback_name(pool.metadata.name), ROLE_FALLBACK),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": fallback_selector(pool.metadata.name)},
            # No slice is needed for one more, and while it serves it may be all there is.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(pool, cpu, installation),
        },
    }


def _template(pool: InferencePool, cpu: CpuFallback, installation: Installation) -> dict[str, Any]:
    stripped = installation.worker_defaults.model_copy(update=_OF_SLICES)
    template = build_pod_template(_as_pool(pool, cpu), FALLBACK, None, replace(installation, worker_defaults=stripped))
    spec = template["spec"]
    spec["tolerations"] = [*map(dict, LOST_NODE), *map(plain, cpu.tolerations or ())]
    if cpu.node_selector:
        spec["nodeSelector"] = dict(cpu.node_selector)
    preferred = {"weight": 100, "preference": {"matchExpressions": [_NO_GPU]}}
    spec["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    labels = {**template["metadata"]["labels"], **common_labels(pool.metadata.name, ROLE_FALLBACK)}
    labels[LABEL_ROLE] = ROLE_FALLBACK
    template["metadata"]["labels"] = labels
    return template


def _as_pool(pool: InferencePool, cpu: CpuFallback) -> InferencePool:
    """The pool as one whose workers are the fallback's."""
    spec = pool.spec
    worker = None if spec.worker is None else spec.worker.model_copy(update=_OF_SLICES)
    # The threads of the pool are for the CPUs beside a GPU; by default a worker has as many as it may use.
    engine = spec.engine.model_copy(update={"threads": None})
    changed = {
        "model": fallback_model(pool, cpu),
        "slice": SliceSpec(cpu=CpuSlice(cores=cpu.cores, memory=cpu.memory)),
        "engine": engine,
        "worker": worker,
        # No rollout is judged by its answers, so a change of the limit starts none of them again.
        "rollout": RolloutSpec(),
    }
    return pool.model_copy(update={"spec": spec.model_copy(update=changed)})


def fallback_model(pool: InferencePool, cpu: CpuFallback) -> ModelSpec:
    """Return the model that the fallback serves: the pool's, or its own under the pool's names too."""
    if cpu.model is None:
        return pool.spec.model
    name = cpu.model.name or pool.model_name
    others = (pool.model_name, *(pool.spec.model.aliases or ()), *(cpu.model.aliases or ()))
    aliases = tuple(dict.fromkeys(other for other in others if other != name))
    # It was checked where it was written.
    own = {field: getattr(cpu.model, field) for field in type(cpu.model).model_fields}
    return ModelSpec.model_construct(**{**own, "name": name, "aliases": aliases or None, "adapters": None})
