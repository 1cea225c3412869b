"""Pools and pods as the API server has them, for the command line's tests: a test names only what it is about."""

from __future__ import annotations

import copy
from typing import Any

from builders import DIGEST, MIG, pool_object

STABLE, CANARY = "6f9c4d00", "91bd0200"
STARTED = "2026-11-21T14:00:00Z"
NOW = 1795269720.0
"""2026-11-21T14:02:00Z."""

VERDICT: dict[str, Any] = {
    "verdict": "Undecided",
    "message": "undecided: 31 requests so far, about 260 more needed; at 2 requests/s and 25 % that takes about 9 minutes",
    "canary": {"requests": 31, "failed": 0, "timed": 30, "slow": 1, "refused": 2, "left": 1, "settled": 29},
    "stable": {"requests": 590, "failed": 2, "timed": 590, "slow": 12, "refused": 40, "left": 9},
    "pending": 1,
    "evidence": {
        "slowAbove": 0.41,
        "failedAbove": 0.87,
        "slowBelow": 2.9,
        "failedBelow": 1.3,
        "worseThanStable": 0.8,
        "refusedMore": 1.2,
    },
    "limits": {"p95": "600ms", "maxErrors": "1%", "confidence": "99%", "tolerance": 2.0, "minSamples": 60},
    "requestsPerSecond": 2.0,
    "neededRequests": 260,
    "remainingSeconds": 540,
    "at": "2026-11-21T14:01:50Z",
}


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 2,
        "lastTransitionTime": STARTED,
    }


READY = condition("Ready", "True", "AllWorkersReady", "3 of 3 workers are ready")


def idle(**spec: Any) -> dict[str, Any]:
    """A pool that serves and has no rollout."""
    pool = pool_object("chat", "team-a", **spec)
    pool["metadata"] |= {
        "uid": "u",
        "generation": 2,
        "resourceVersion": "7",
        "creationTimestamp": "2026-11-20T14:00:00Z",
    }
    pool["status"] = {
        "observedGeneration": 2,
        "model": "chat-small",
        "endpoint": "http://chat.team-a.svc",
        "desired": 3,
        "readyReplicas": 3,
        "conditions": [READY, condition("RolloutProgressing", "False", "Idle", f"revision {STABLE} serves")],
        "zones": [{"name": zone, "desired": 1, "ready": 1, "floor": 1} for zone in "abc"],
        "slice": {"resource": MIG},
        "revisions": {"stable": STABLE},
        "rollout": {"phase": "Idle"},
    }
    return pool


def rolling(phase: str = "Analysing", **rollout: Any) -> dict[str, Any]:
    """The same pool with a rollout in that phase; keywords are fields of status.rollout (None removes one)."""
    pool = idle()
    fields = {
        "phase": phase,
        "target": CANARY,
        "startedAt": STARTED,
        "phaseSince": "2026-11-21T14:01:00Z",
        "step": 0,
        "steps": 2,
        "weight": 5,
        **rollout,
    }
    message = "the canary is judged"
    pool["status"] |= {
        "rollout": {key: value for key, value in fields.items() if value is not None},
        "revisions": {"stable": STABLE, "canary": CANARY},
        "conditions": [
            condition("Ready", "False", "RolloutInProgress", message),
            condition("RolloutProgressing", "True", phase, message),
        ],
    }
    return pool


def rolled_back() -> dict[str, Any]:
    """The same pool after its canary was given up."""
    message = f"revision {CANARY} was given up: 67 requests, 12 above 600ms. Change the spec to try again"
    pool = rolling("RolledBack", abortReason="Latency", message="67 requests, 12 above 600ms", weight=None, step=None)
    pool["status"]["revisions"] = {"stable": STABLE}
    pool["status"]["conditions"] = [
        condition("Ready", "False", "RolledBack", message),
        condition("Stalled", "True", "RolledBack", message),
        condition("RolloutProgressing", "False", "RolledBack", message),
        condition("Degraded", "True", "RolledBack", message),
    ]
    return pool


def changed(pool: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A copy with other metadata."""
    copied = copy.deepcopy(pool)
    copied["metadata"] |= metadata
    return copied


def worker(
    name: str, revision: str, zone: str, *, ready: bool = True, node: str | None = None, pool: str = "chat"
) -> dict[str, Any]:
    """A worker's pod."""
    status: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    if not ready:
        status = {
            "phase": "Pending",
            "containerStatuses": [
                {"name": "worker", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
            ],
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": name,
            "labels": {
                "app.kubernetes.io/managed-by": "slicewise",
                "slicewise.dev/pool": pool,
                "slicewise.dev/role": "worker",
                "slicewise.dev/revision": revision,
                "slicewise.dev/zone": zone,
            },
        },
        "spec": {
            "nodeName": node or f"node-{zone}",
            "containers": [{"name": "worker", "image": "worker", "resources": {"limits": {MIG: "1"}}}],
        },
        "status": status,
    }


def workers() -> list[dict[str, Any]]:
    """Three stable workers and a canary's that does not get its image."""
    stable = [worker(f"chat-{zone}-{STABLE}-x", STABLE, zone) for zone in "abc"]
    return [*stable, worker(f"chat-a-{CANARY}-y", CANARY, "a", ready=False)]


def node(zone: str, *, offered: int = 2, capacity: int = 2, **spec: Any) -> dict[str, Any]:
    """A node with slices of 9,728 MiB."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{zone}", "labels": {"topology.kubernetes.io/zone": zone, f"{MIG}.memory": "9728"}},
        "spec": spec,
        "status": {
            "allocatable": {MIG: str(offered), "cpu": "4"},
            "capacity": {MIG: str(capacity), "cpu": "4"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def revision(number: int, name: str, model: dict[str, Any], pool: str = "chat", **rest: Any) -> dict[str, Any]:
    """A ControllerRevision as the operator stores it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{pool}-{name}",
            "labels": {
                "slicewise.dev/pool": pool,
                "slicewise.dev/revision": name,
                "app.kubernetes.io/managed-by": "slicewise",
            },
            "creationTimestamp": f"2026-11-{10 + number}T14:02:00Z",
        },
        "revision": number,
        "data": {"inputs": {"model": model, **rest}, "resource": MIG, "template": {}},
    }


def model(letter: str) -> dict[str, Any]:
    """A model whose file has that letter."""
    return {"source": f"https://models.example.com/{letter}.gguf", "digest": DIGEST.replace("0", letter)}
