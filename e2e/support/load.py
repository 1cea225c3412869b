"""Load on a pool from inside the cluster: a pod that asks all the time, and what became of each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2e.support.api import Api
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.programs import HERE, kubectl

IMAGE = "slicewise-worker:0.1.0"


class Load:
    """Requests to the pool's endpoint, from the time it is made until `stop`."""

    def __init__(
        self, api: Api, pool: Pool, *, rate: float = 3, tokens: int = 8, node: str | None = None, key: str = ""
    ) -> None:
        """`rate`: requests a second. `node`: where the pod is to be; it must outlive the story's faults. `key`: sent with each."""
        self._api = api
        self._pool = pool
        self._name = f"load-{pool.name}"
        model = pool.object()["spec"]["model"].get("name") or pool.name
        url = f"http://{pool.name}.{pool.namespace}.svc/v1/chat/completions"
        objects = {
            "apiVersion": "v1",
            "kind": "List",
            "items": [self._script(), self._pod([url, model, str(rate), str(tokens), key], node)],
        }
        kubectl("-n", pool.namespace, "apply", "-f", "-", stdin=json.dumps(objects))
        eventually("the load begins", lambda: self._answers(1), within=90)

    def _script(self) -> Mapping[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name},
            "data": {"load_client.py": (HERE / "support/load_client.py").read_text()},
        }

    def _pod(self, arguments: list[str], node: str | None) -> Mapping[str, Any]:
        container = {
            "name": "load",
            "image": IMAGE,
            "command": ["python3", "/load/load_client.py", *arguments],
            "volumeMounts": [{"name": "script", "mountPath": "/load"}],
            # On a busy node a client must not be what is late: a gateway gives the headers of a request ten seconds.
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        spec: dict[str, Any] = {
            "containers": [container],
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 1,
            "enableServiceLinks": False,
            "volumes": [{"name": "script", "configMap": {"name": self._name}}],
            "tolerations": [{"operator": "Exists"}],
        }
        if node is not None:
            spec["nodeName"] = node
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name}, "spec": spec}

    def requests(self) -> list[dict[str, Any]]:
        """Return what became of every request so far."""
        log = self._api.log(self._pool.namespace, self._name)
        return [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]

    def failures(self) -> list[dict[str, Any]]:
        return [request for request in self.requests() if request.get("status") != 200]

    def _answers(self, count: int) -> None:
        got = [request for request in self.requests() if request.get("status") == 200]
        assert len(got) >= count, (
            f"{len(got)} answers; the log ends {self._api.log(self._pool.namespace, self._name)[-500:]}"
        )

    def goes_on_for(self, answers: int, within: float = 60) -> None:
        """Wait until that many more answers have come."""
        have = len([request for request in self.requests() if request.get("status") == 200])
        eventually(f"{answers} more answers", lambda: self._answers(have + answers), within)

    def stop(self) -> None:
        kubectl("-n", self._pool.namespace, "delete", "pod", self._name, "--now", "--ignore-not-found", "--wait=false")
