"""What workers may do: a ServiceAccount without rights or token, and a NetworkPolicy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slicewise.api.labels import LABEL_POOL, LABEL_ROLE, ROLE_FALLBACK, ROLE_WORKER, gateway_selector, worker_selector
from slicewise.api.ports import FETCH_PORT, WORKER_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, worker_account_name
from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA, NAMES


def build_service_account(pool: InferencePool) -> dict[str, Any]:
    """Return the workers' ServiceAccount. They never talk to the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": object_meta(pool, worker_account_name(pool.metadata.name), "worker"),
        "automountServiceAccountToken": False,
    }


def workers_and_fallback(pool: InferencePool) -> dict[str, Any]:
    """Return the selector of all pods that answer requests: the workers, and those of the CPU fallback where there is one."""
    if pool.spec.fallback is None:
        return {"matchLabels": worker_selector(pool.metadata.name)}
    roles = {"key": LABEL_ROLE, "operator": "In", "values": [ROLE_FALLBACK, ROLE_WORKER]}
    return {"matchLabels": {LABEL_POOL: pool.metadata.name}, "matchExpressions": [roles]}


def build_network_policy(
    pool: InferencePool, operator_namespace: str, metrics_from: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the workers' NetworkPolicy, which is the CPU fallback's too.

    In: the pool's gateway; the operator, also to the progress of downloads; `metrics_from`, peers that read metrics. Whoever else
    could reach a worker would go past keys and limits. Out: anywhere but a metadata service.
    """
    gateway = {"podSelector": {"matchLabels": gateway_selector(pool.metadata.name)}}
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_meta(pool, worker_account_name(pool.metadata.name), "worker"),
        "spec": {
            "podSelector": workers_and_fallback(pool),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "ports": [{"port": WORKER_PORT, "protocol": "TCP"}],
                    "from": [gateway, operator, *map(dict, metrics_from)],
                },
                {"ports": [{"port": FETCH_PORT, "protocol": "TCP"}], "from": [operator]},
            ],
            "egress": [
                NAMES,
                {"to": EVERYWHERE_BUT_METADATA},
            ],
        },
    }
