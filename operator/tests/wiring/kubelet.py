"""Scheduler and kubelet for tests with a real API server: binds the pods that controllers make, and writes their status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from wiring.operator_process import Cluster

MERGE = "application/merge-patch+json"


class GoneError(AssertionError):
    """The pod was removed meanwhile: a ReplicaSet makes one too many at times."""


class Kubelet:
    """Binds the pods of a namespace and writes their status."""

    def __init__(self, cluster: Cluster) -> None:
        self._server = cluster.server
        self._path = f"/api/v1/namespaces/{cluster.namespace}/pods"

    def pods(self, role: str | None = "worker") -> list[dict[str, Any]]:
        """Return the pods of a role that are not on their way out; None: of all."""
        _, answer = self._server.request("GET", self._path)
        living = [pod for pod in answer["items"] if "deletionTimestamp" not in pod["metadata"]]
        return [pod for pod in living if role in {None, pod["metadata"]["labels"].get("slicewise.dev/role")}]

    def bind(self, pod: dict[str, Any]) -> None:
        zone = pod["metadata"]["labels"].get("slicewise.dev/zone", "a")
        target = {"apiVersion": "v1", "kind": "Node", "name": f"wiring-{zone}"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
        code, answer = self._server.request("POST", f"{self._path}/{pod['metadata']['name']}/binding", body)
        _taken(code, 201, answer)

    def say(self, pod: dict[str, Any], **status: Any) -> None:
        path = f"{self._path}/{pod['metadata']['name']}/status"
        code, answer = self._server.request("PATCH", path, {"status": status}, content_type=MERGE)
        _taken(code, 200, answer)

    def event(self, pod: dict[str, Any], reason: str, message: str, time: str | None = None) -> None:
        """Say something of a pod, as the kubelet does. `time`: another than now."""
        metadata, now = pod["metadata"], time or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                **{k: metadata[k] for k in ("name", "namespace", "uid")},
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        code, answer = self._server.request("POST", f"{self._path.removesuffix('pods')}events", body)
        assert code == 201, answer

    def ready(self, pod: dict[str, Any], address: str) -> None:
        """Its init containers are done or, as sidecars, run; its containers run."""
        name, spec = pod["metadata"]["name"], pod["spec"]
        done: dict[str, Any] = {"terminated": {"exitCode": 0}}
        self.say(
            pod,
            phase="Running",
            podIP=address,
            podIPs=[{"ip": address}],
            conditions=[{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
            initContainerStatuses=[
                container(item["name"], name, {"running": {}} if "restartPolicy" in item else done, ready=True)
                for item in spec.get("initContainers", ())
            ],
            containerStatuses=[
                container(item["name"], name, {"running": {}}, ready=True) for item in spec["containers"]
            ],
        )


def _taken(code: int, wanted: int, answer: dict[str, Any]) -> None:
    if code == 404 or (code == 409 and "being deleted" in str(answer.get("message"))):
        raise GoneError(answer)
    assert code == wanted, answer


def container(name: str, pod: str, state: dict[str, Any], *, ready: bool = False) -> dict[str, Any]:
    identity = {"containerID": f"containerd://{pod}", "image": "slicewise-worker:test", "imageID": ""}
    return {"name": name, "ready": ready, "restartCount": 0, "state": state, **identity}
