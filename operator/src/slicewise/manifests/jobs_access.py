"""What the pods of jobs may do, and who may reach them: an account without rights or token, and a NetworkPolicy each. Pure.

The account and the policies stay for as long as the pool, also where `spec.jobs` is taken out. Pods of jobs serve for up to a minute after
that, and their API believes the tenant's name in a header: without the policy everybody could ask it meanwhile. Afterwards the policies
concern no pod, and the operator needs no right to delete policies, which cannot be narrowed to those that it made.
"""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import dispatch_selector, gateway_selector, jobs_selector
from slicewise.api.ports import DISPATCH_PORT, GATEWAY_JOBS_PORT, JOBS_INTERNAL_PORT, JOBS_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.installation import Installation
from slicewise.manifests.metadata import dispatch_name, jobs_name, object_meta
from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA, NAMES

_DATABASE: dict[str, Any] = {"to": EVERYWHERE_BUT_METADATA}
"""Its address is in a Secret, which the operator does not read."""


def build_jobs_access(pool: InferencePool, installation: Installation) -> list[dict[str, Any]]:
    """Return the account of both programs, and the NetworkPolicy of each."""
    name = pool.metadata.name
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": object_meta(pool, jobs_name(name), "jobs"),
        "automountServiceAccountToken": False,
    }
    gateway, api, dispatchers = (
        {"podSelector": {"matchLabels": labels}}
        for labels in (gateway_selector(name), jobs_selector(name), dispatch_selector(name))
    )
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": installation.operator_namespace}}}
    readers = [operator, *map(dict, installation.gateway.metrics_from)]
    of_api = {
        "podSelector": api["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"ports": [_tcp(JOBS_PORT)], "from": [gateway]},
            {"ports": [_tcp(JOBS_INTERNAL_PORT)], "from": [dispatchers, *readers]},
        ],
        "egress": [NAMES, _DATABASE],
    }
    of_dispatchers = {
        "podSelector": dispatchers["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [_tcp(DISPATCH_PORT)], "from": readers}],
        "egress": [
            NAMES,
            {"ports": [_tcp(GATEWAY_JOBS_PORT)], "to": [gateway]},
            {"ports": [_tcp(JOBS_INTERNAL_PORT)], "to": [api]},
            _DATABASE,
        ],
    }
    return [
        account,
        _policy(pool, jobs_name(name), "jobs", of_api),
        _policy(pool, dispatch_name(name), "jobs-dispatch", of_dispatchers),
    ]


def _policy(pool: InferencePool, name: str, component: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_meta(pool, name, component),
        "spec": spec,
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
