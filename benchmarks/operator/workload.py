"""What is reconciled: pools and nodes, and the requests that bringing a pool up takes, as the operator's own code makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from slicewise.api.labels import API_VERSION, KIND, ZONE_KEY
from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.clients.resources import POOLS, resource_of
from slicewise.cluster.records import PoolEntry
from slicewise.controller.diff import CREATE_ONLY, complete
from slicewise.objects.pods import read_node
from slicewise.pool.observed import ObservedPool
from slicewise.pool.plan import plan_pool
from slicewise.settings import OperatorSettings

NAMESPACE = "bench"
SLICE = "nvidia.com/mig-1g.10gb"
SLICES_PER_NODE = 56
"""Eight GPUs of seven slices."""
REPLICAS = 3
APPLY_QUERY = "fieldManager=slicewise&force=true"

Object = dict[str, Any]


def pool_name(index: int) -> str:
    """Return the name of a pool."""
    return f"bench-{index:04d}"


def pool_object(index: int) -> Object:
    """Return a pool as a user writes it: three workers in three zones, none of them to be missed."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": pool_name(index), "namespace": NAMESPACE},
        "spec": {
            "model": {
                "name": "chat-small",
                "source": "https://models.example.com/small.gguf",
                "digest": "sha256:" + "0123456789abcdef" * 4,
            },
            "engine": {"contextTokens": 2048, "parallelSequences": 4},
            "slice": {"resource": SLICE},
            "replicas": REPLICAS,
            "zones": {"minAvailable": 1},
        },
    }


def node_objects(pools: int) -> list[Object]:
    """Return nodes in three zones with room for twice the workers of so many pools."""
    a_zone = -(-pools * 2 // SLICES_PER_NODE)
    return [_node(f"gpu-{zone}-{index:03d}", zone) for zone in "abc" for index in range(a_zone)]


def _node(name: str, zone: str) -> Object:
    resources = {"cpu": "128", "memory": "1Ti", "pods": "110", SLICE: str(SLICES_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {ZONE_KEY: zone, f"{SLICE}.memory": "9728", "nvidia.com/mig.strategy": "mixed"},
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}],
        },
    }


def requests_of(stored: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> list[tuple[str, Object]]:
    """Return the server-side applies (path with query, body) that a new pool takes, its status last.

    `stored`: the pool as the API server has it. `nodes`: all nodes as the API server has them.
    """
    metadata = stored["metadata"]
    pool = parse_pool(stored)
    assert isinstance(pool, InferencePool), pool
    observed = ObservedPool(
        nodes=tuple(read_node(node) for node in sorted(nodes, key=lambda node: node["metadata"]["name"])),
        installation=OperatorSettings().installation,
    )
    plan = plan_pool(pool, observed, time.time())
    entry = PoolEntry(metadata["namespace"], metadata["name"], uid=metadata["uid"])
    requests = []
    for manifest in plan.children or ():
        body = complete(entry, manifest)
        path = resource_of(body).path(entry.namespace, body["metadata"]["name"])
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": CREATE_ONLY}}
        requests.append((f"{path}?{APPLY_QUERY}", body))
    guards = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    status = {"apiVersion": API_VERSION, "kind": KIND, "metadata": guards, "status": dict(plan.status)}
    requests.append((f"{POOLS.path(entry.namespace, entry.name, 'status')}?{APPLY_QUERY}", status))
    return requests


def children_template(requests: Sequence[tuple[str, Object]], name: str, mark: str) -> str:
    """Return the children and the status of one pool as JSON text in which `mark` stands for the pool's name."""
    bodies = []
    for _, body in requests:
        metadata = {k: v for k, v in body["metadata"].items() if k not in {"ownerReferences", "resourceVersion", "uid"}}
        bodies.append({**body, "metadata": metadata})
    return json.dumps({"children": bodies[:-1], "status": bodies[-1]["status"]}).replace(name, mark)


def worker_pods(deployment: Mapping[str, Any], node: str) -> list[Object]:
    """Return the pods of a Deployment as a ReplicaSet, a scheduler and a kubelet would have made them: placed and ready."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    status = {
        "phase": "Running",
        "podIP": WORKER_ADDRESS,
        "podIPs": [{"ip": WORKER_ADDRESS}],
        "conditions": [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "Ready")],
        "initContainerStatuses": [
            _container("fetch", {"terminated": {"exitCode": 0, "containerID": "containerd://f"}}, ready=True)
        ],
        "containerStatuses": [
            _container("worker", {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, ready=True),
        ],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{index}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": [_replica_set(metadata["name"])],
            },
            "spec": {**template["spec"], "nodeName": node},
            "status": status,
        }
        for index in range(deployment["spec"]["replicas"])
    ]


def _replica_set(deployment: str) -> Object:
    """Return the owner of a worker pod: the operator tells its own pods by it."""
    name, uid = f"{deployment}-0", "00000000-0000-0000-0000-0000000000ff"
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": True}


WORKER_ADDRESS = "127.77.0.1"
"""Where something answers `/v1/worker` for all fabricated pods."""


def _container(name: str, state: Object, *, ready: bool) -> Object:
    return {
        "name": name,
        "image": "slicewise-worker:0.1.0",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
        "containerID": f"containerd://{name}",
    }
