"""What the gateway's pods may do, and who may reach them: account, rights, NetworkPolicy. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import dispatch_selector, gateway_selector, jobs_selector
from slicewise.api.ports import AGENT_PORT, EDGE_METRICS_PORT, GATEWAY_JOBS_PORT, JOBS_PORT, WORKER_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.access import workers_and_fallback
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.metadata import gateway_binding_name, gateway_name, object_meta
from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA, NAMES


def build_gateway_account(pool: InferencePool) -> dict[str, Any]:
    """Return the gateway's ServiceAccount. Its token is mounted for the agent alone, never for Envoy."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": object_meta(pool, gateway_name(pool.metadata.name), "gateway"),
        "automountServiceAccountToken": False,
    }


def build_gateway_binding(pool: InferencePool, role: str) -> dict[str, Any]:
    """Return the RoleBinding that gives the agent the installation's ClusterRole, in the pool's namespace alone."""
    name = pool.metadata.name
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": object_meta(pool, gateway_binding_name(name, role), "gateway"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": gateway_name(name), "namespace": pool.metadata.namespace}],
    }


def build_gateway_policy(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    """Return the gateway's NetworkPolicy.

    In: the API for anyone; counters and the agent for the operator and who reads metrics; the port that asks for no key for the
    dispatchers of jobs alone. Out: names; workers; the API of jobs; the ports of the API server and of the trace collector, when there
    is one; and any port where a Redis is to be reached. Metadata services: never.
    """
    name, here, ports = pool.metadata.name, desired.installation, desired.model.ports
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": desired.operator_namespace}}}
    egress: list[dict[str, Any]] = [
        NAMES,
        {"ports": [_tcp(WORKER_PORT)], "to": [{"podSelector": workers_and_fallback(pool)}]},
        {
            "ports": [_tcp(port) for port in here.api_server_ports],
            "to": [{"ipBlock": {"cidr": cidr}} for cidr in here.api_server_cidrs] or EVERYWHERE_BUT_METADATA,
        },
    ]
    ingress: list[dict[str, Any]] = [
        {"ports": [_tcp(ports.http)]},
        {
            "ports": [_tcp(ports.stats), _tcp(AGENT_PORT), _tcp(EDGE_METRICS_PORT)],
            "from": [operator, *map(dict, here.metrics_from)],
        },
    ]
    if pool.spec.jobs is not None:
        dispatchers, api = ({"podSelector": {"matchLabels": of(name)}} for of in (dispatch_selector, jobs_selector))
        ingress.append({"ports": [_tcp(GATEWAY_JOBS_PORT)], "from": [dispatchers]})
        egress.append({"ports": [_tcp(JOBS_PORT)], "to": [api]})
    if desired.model.otlp is not None:
        egress.append({"ports": [_tcp(desired.model.otlp[1])], "to": EVERYWHERE_BUT_METADATA})
    if desired.redis_secret is not None:
        # Its address is in a Secret, which the operator does not read.
        egress.append({"to": EVERYWHERE_BUT_METADATA})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_meta(pool, gateway_name(name), "gateway"),
        "spec": {
            "podSelector": {"matchLabels": gateway_selector(name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
