"""The Services of a pool: one address for clients, the workers of each revision for the gateway, all of them for scraping. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slicewise.api.labels import LABEL_REVISION, gateway_selector, worker_selector
from slicewise.api.ports import WORKER_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, revision_service_name, worker_service_name

REVISION_COMPONENT: Final = "revision"
"""Component of a revision's Service. Kubernetes copies the labels onto its EndpointSlices, by which the gateway finds them."""


def build_endpoint_service(pool: InferencePool, gateway_port: int) -> dict[str, Any]:
    """Return the Service that clients use: port 80, over the ready pods of the gateway, which listen on `gateway_port`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, pool.metadata.name, "endpoint"),
        "spec": {
            "type": "ClusterIP",
            "selector": gateway_selector(pool.metadata.name),
            # A number: names of ports are looked up among a pod's containers, and Envoy is a sidecar.
            "ports": [
                {"name": "http", "port": 80, "targetPort": gateway_port, "protocol": "TCP", "appProtocol": "http"}
            ],
        },
    }


def build_worker_service(pool: InferencePool) -> dict[str, Any]:
    """Return the headless Service that lists the workers one by one, for scraping."""
    name = pool.metadata.name
    return headless(pool, worker_service_name(name), "worker", worker_selector(name), {})


def build_revision_service(pool: InferencePool, revision: str) -> dict[str, Any]:
    """Return the headless Service whose EndpointSlices are the gateway's list of the workers of one revision."""
    name = pool.metadata.name
    own = {LABEL_REVISION: revision}
    selector = {**worker_selector(name), **own}
    return headless(pool, revision_service_name(name, revision), REVISION_COMPONENT, selector, own)


def headless(
    pool: InferencePool, name: str, component: str, selector: Mapping[str, str], labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return a Service that lists pods one by one. `labels`: of its own, besides those of every child."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, name, component, labels),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": dict(selector),
            "ports": [
                {"name": "http", "port": WORKER_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
            ],
        },
    }


def endpoint_url(pool: InferencePool) -> str:
    """Return the address for clients inside the cluster."""
    return f"http://{pool.metadata.name}.{pool.metadata.namespace}.svc"
