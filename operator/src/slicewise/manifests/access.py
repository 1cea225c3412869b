"""What workers may do: a ServiceAccount without rights or token, and a NetworkPolicy. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import worker_selector
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, worker_account_name
from slicewise.manifests.pod_template import FETCH_PORT, WORKER_PORT

_EVERYWHERE_BUT_METADATA = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
]
"""Weights come from any address the pool names, but never from a cloud's metadata service."""


def build_service_account(pool: InferencePool) -> dict[str, Any]:
    """Return the workers' ServiceAccount. They never talk to the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": object_meta(pool, worker_account_name(pool.metadata.name), "worker"),
        "automountServiceAccountToken": False,
    }


def build_network_policy(pool: InferencePool, operator_namespace: str) -> dict[str, Any]:
    """Return the workers' NetworkPolicy: the API for anyone, download progress for the operator, no metadata service."""
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_meta(pool, worker_account_name(pool.metadata.name), "worker"),
        "spec": {
            "podSelector": {"matchLabels": worker_selector(pool.metadata.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"ports": [{"port": WORKER_PORT, "protocol": "TCP"}]},
                {"ports": [{"port": FETCH_PORT, "protocol": "TCP"}], "from": [operator]},
            ],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"to": _EVERYWHERE_BUT_METADATA},
            ],
        },
    }
