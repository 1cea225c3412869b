"""The Services of a pool: one address for clients, one name per worker. Pure."""

from __future__ import annotations

from typing import Any

from slicewise.api.labels import worker_selector
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.metadata import object_meta, worker_service_name
from slicewise.manifests.pod_template import WORKER_PORT


def build_endpoint_service(pool: InferencePool) -> dict[str, Any]:
    """Return the Service that clients use: port 80, over the ready workers of all revisions and zones."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, pool.metadata.name, "endpoint"),
        "spec": {
            "type": "ClusterIP",
            "selector": worker_selector(pool.metadata.name),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }


def build_worker_service(pool: InferencePool) -> dict[str, Any]:
    """Return the headless Service that lists the workers one by one, for scraping and for the gateway."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, worker_service_name(pool.metadata.name), "worker"),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": worker_selector(pool.metadata.name),
            "ports": [
                {"name": "http", "port": WORKER_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
            ],
        },
    }


def endpoint_url(pool: InferencePool) -> str:
    """Return the address for clients inside the cluster."""
    return f"http://{pool.metadata.name}.{pool.metadata.namespace}.svc"
