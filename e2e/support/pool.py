"""A pool as the stories handle it: its manifest, and what can be seen of it in the cluster."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import yaml
from e2e.support.api import Api, Object
from e2e.support.programs import ROOT, run

SLICE = "nvidia.com/mig-1g.10gb"
MODELS = "http://models.slicewise-e2e.svc"


@cache
def model(name: str) -> dict[str, str]:
    """Return source and digest of a made model, as `spec.model` has them; the server in the cluster has the file."""
    made = json.loads(run("python", ROOT / "worker-image/models/make.py", "--json", name, within=600))
    return {"source": f"{MODELS}/{name}.gguf", "digest": f"sha256:{made['sha256']}"}


def manifest(name: str, **spec: Any) -> Object:
    """Return a small pool: three workers in three zones, floor one, the tiny model. `spec`: what differs; None: left out."""
    whole: dict[str, Any] = {
        "model": model("tiny"),
        "engine": {"contextTokens": 512, "parallelSequences": 2},
        "slice": {"resource": SLICE},
        "replicas": 3,
        "zones": {"minAvailable": 1},
        **spec,
    }
    return {
        "apiVersion": "slicewise.dev/v1alpha1",
        "kind": "InferencePool",
        "metadata": {"name": name},
        "spec": {key: value for key, value in whole.items() if value is not None},
    }


def example(file: str, **model_fields: str) -> Object:
    """Return `docs/examples/<file>` with other fields in `spec.model`."""
    result: Object = yaml.safe_load((ROOT / "docs/examples" / file).read_text())
    result["spec"]["model"].update(model_fields)
    return result


class Pool:
    """A pool in the cluster."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self.namespace = namespace
        self.name = name

    def object(self) -> Object:
        found = self._api.get("inferencepools", self.name, self.namespace)
        assert found is not None, f"pool {self.name} is not there"
        return found

    def status(self) -> Object:
        return self.object().get("status") or {}

    def conditions(self) -> dict[str, Object]:
        """Type → condition; none where the operator has not seen this generation yet."""
        found = self.object()
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return {item["type"]: item for item in status.get("conditions") or []}

    def children(self, kind: str) -> list[Object]:
        """What carries the pool's label, owned by it or not."""
        return self._api.all(kind, self.namespace, f"slicewise.dev/pool={self.name}")

    def pods(self) -> list[Object]:
        """All of the workers' pods, also those that have failed or are going."""
        return [pod for pod in self.children("pods") if is_worker(pod)]

    def gateways(self) -> list[Object]:
        """The gateway's pods that nobody has asked to go."""
        pods = [pod for pod in self.children("pods") if role_of(pod) == "gateway"]
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def workers(self) -> list[Object]:
        """The pods that serve and will go on."""
        return [pod for pod in self.pods() if serves(pod)]

    def ready_by_zone(self) -> Counter[str]:
        return Counter(zone_of(pod) for pod in self.workers())


def is_worker(pod: Object) -> bool:
    """Whether a pod is one of a pool's workers on slices, and not of its gateway or its CPU fallback."""
    return role_of(pod) == "worker"


def role_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get("slicewise.dev/role", ""))


def zone_of(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get("slicewise.dev/zone", ""))


def revision_of(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get("slicewise.dev/revision", ""))


def device_of(pod: Object) -> str:
    """Return the id of the device that a worker holds."""
    statuses = (pod["status"].get("containerStatuses") or [{}])[0].get("allocatedResourcesStatus") or []
    found = [item["resourceID"] for entry in statuses for item in entry.get("resources") or []]
    assert len(found) == 1, f"{pod['metadata']['name']} holds {found}"
    return str(found[0])


def serves(pod: Object) -> bool:
    """Whether a pod is ready and nobody has asked it to go."""
    status = pod.get("status") or {}
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or [])
    return ready and status.get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
