"""The operator as a process of its own, as it runs in a pod, and what a test asks of the cluster around it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from servers.audit import AuditMark
from servers.control_plane import WRITES, ApiServer, free_port

T = TypeVar("T")
POOLS = "/apis/slicewise.dev/v1alpha1/namespaces/{}/inferencepools"
CHILD_PATHS = (
    "/apis/apps/v1/namespaces/{}/deployments",
    "/apis/apps/v1/namespaces/{}/controllerrevisions",
    "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/serviceaccounts",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/persistentvolumeclaims",
)
MANAGED = "?labelSelector=app.kubernetes.io/managed-by%3Dslicewise"


async def eventually(check: Callable[[], T], what: str, seconds: float = 120) -> T:
    """Return the first true answer of `check`. Past the deadline raises AssertionError.

    It runs in a thread: what answers the operator in this one must not wait for a slow API server, since the operator waits for a second.
    """
    deadline = time.monotonic() + seconds
    while not (answer := await asyncio.to_thread(check)):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)
    return answer


@dataclass
class Cluster:
    """One namespace of the API server, as a test looks at it."""

    server: ApiServer
    namespace: str

    def create(self, pool: dict[str, Any]) -> dict[str, Any]:
        """Create a pool."""
        code, answer = self.server.request("POST", POOLS.format(self.namespace), pool)
        assert code == 201, answer
        return dict(answer)

    def edit(self, name: str, spec: dict[str, Any]) -> None:
        """Merge into the spec of a pool."""
        path = f"{POOLS.format(self.namespace)}/{name}"
        code, answer = self.server.request("PATCH", path, {"spec": spec}, content_type="application/merge-patch+json")
        assert code == 200, answer

    def delete(self, name: str) -> None:
        """Delete a pool and, as the garbage collector would, its children."""
        self.server.request("DELETE", f"{POOLS.format(self.namespace)}/{name}")
        for path in CHILD_PATHS:
            self.server.request("DELETE", f"{path.format(self.namespace)}?labelSelector=slicewise.dev/pool%3D{name}")

    def pool(self, name: str = "chat") -> dict[str, Any]:
        """Return a pool."""
        code, answer = self.server.request("GET", f"{POOLS.format(self.namespace)}/{name}")
        assert code == 200, answer
        return dict(answer)

    def condition(self, kind: str, name: str = "chat") -> dict[str, Any]:
        """Return a condition of a pool; empty when there is none."""
        conditions = (self.pool(name).get("status") or {}).get("conditions") or []
        return next((dict(c) for c in conditions if c["type"] == kind), {})

    def seen(self, name: str = "chat") -> bool:
        """Whether the pool's status is about its present generation."""
        pool = self.pool(name)
        return bool((pool.get("status") or {}).get("observedGeneration") == pool["metadata"]["generation"])

    def children(self) -> dict[str, dict[str, Any]]:
        """Return `Kind/name` → object of everything that the operator manages here."""
        found = {}
        for path in CHILD_PATHS:
            _, answer = self.server.request("GET", path.format(self.namespace) + MANAGED)
            kind = answer["kind"].removesuffix("List")
            found.update({f"{kind}/{item['metadata']['name']}": item for item in answer["items"]})
        return found

    def essence(self) -> dict[str, Any]:
        """Return the children without what differs between two runs: ids, times, versions."""
        drop = {
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "generation",
            "ownerReferences",
            "namespace",
        }
        essence = {}
        for name, item in self.children().items():
            metadata = {k: v for k, v in item["metadata"].items() if k not in drop}
            metadata.get("annotations", {}).pop("slicewise.dev/applied", None)
            spec = {k: v for k, v in item.get("spec", {}).items() if not k.startswith("clusterIP")}
            essence[name] = {"metadata": metadata, "spec": spec, "data": item.get("data")}
        return json.loads(json.dumps(essence).replace(self.namespace, "NAMESPACE"))

    def audited(self, since: AuditMark) -> list[dict[str, Any]]:
        """Return what operators asked of this namespace since a mark, but for watches, leases and Events."""
        return [
            event
            for event in self.server.audit_events(since)
            if event["userAgent"].startswith("slicewise-operator")
            and event["verb"] != "watch"
            and (event.get("objectRef") or {}).get("namespace", self.namespace) == self.namespace
            and (event.get("objectRef") or {}).get("resource") not in {"leases", "events"}
        ]

    def writes(self, since: AuditMark) -> list[str]:
        """Return the writes among them, as `verb resource/name`."""
        return [
            f"{event['verb']} {event['objectRef']['resource']}/{event['objectRef'].get('name')}"
            + ("/status" if event["objectRef"].get("subresource") == "status" else "")
            for event in self.audited(since)
            if event["verb"] in WRITES
        ]


@dataclass
class OperatorProcess:
    """One replica."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    name: str
    _ended: bool = field(default=False)

    def healthy(self) -> bool:
        return self._get("/healthz") == 200

    def ready(self) -> bool:
        """Whether its cache is complete."""
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended with {self.process.returncode}:\n{self.words()}")
        return self._get("/readyz") == 200

    def metric(self, line: str) -> float:
        """Return the value of a metric, 0 when it is not there."""
        return self.metrics(line)[0]

    def metrics(self, *lines: str) -> tuple[float, ...]:
        """Return the values of metrics at one moment, 0 for those that are not there."""
        shown = self.shown()
        return tuple(float(shown.get(line, 0.0)) for line in lines)

    def shown(self) -> dict[str, str]:
        """Return all metrics at one moment: series and value."""
        return dict(line.rsplit(" ", 1) for line in self.text().splitlines())

    def text(self) -> str:
        """Return what a scrape gets."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def leads(self) -> bool:
        return self.metric("slicewise_leader") == 1

    def resting(self) -> bool:
        """Whether no pool waits for a pass, and no pass runs."""
        return self.metrics("slicewise_pools_waiting", "slicewise_reconciles_running") == (0, 0)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=60)

    def end(self) -> int:
        """Ask it to end, wait, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-6000:]

    def _get(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0


@dataclass
class Operators:
    """Starts replicas for one namespace, with a lease there."""

    cluster: Cluster
    directory: Path
    started: list[OperatorProcess] = field(default_factory=list)

    def spawn(self, **settings: object) -> OperatorProcess:
        """Start a replica. Keywords are settings (`lease_duration_seconds=2`)."""
        name, port = f"operator-{len(self.started)}", free_port()
        chosen = {
            "kubeconfig": self.cluster.server.kubeconfig,
            "namespace": self.cluster.namespace,
            "watch_namespaces": json.dumps([self.cluster.namespace]),
            "pod_name": name,
            "port": port,
            "log_format": "text",
            "worker_image": "slicewise-worker:test",
            **settings,
        }
        environment = {**os.environ, **{f"SLICEWISE_{key.upper()}": str(value) for key, value in chosen.items()}}
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error::RuntimeWarning", "-W", "error::ResourceWarning", "-m", "slicewise"],
                env=environment,
                stdout=output,
                stderr=output,
            )
        replica = OperatorProcess(process, port, log, name)
        self.started.append(replica)
        return replica

    async def start(self, **settings: object) -> OperatorProcess:
        """Start a replica and wait until its cache is complete."""
        replica = self.spawn(**settings)
        await eventually(replica.ready, f"{replica.name} is ready")
        return replica


@contextlib.contextmanager
def operators(cluster: Cluster, directory: Path) -> Iterator[Operators]:
    """Start replicas in the block; all are killed when it is left."""
    replicas = Operators(cluster, directory)
    try:
        yield replicas
    finally:
        for replica in replicas.started:
            if replica.process.poll() is None:
                replica.kill()
