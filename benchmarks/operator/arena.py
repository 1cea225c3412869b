"""An API server of its own for a measurement: fresh, on tmpfs, with nodes and pools; and the contestants that run against it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from audit import AuditTail
from floors import cpu_seconds
from servers.control_plane import ApiServer, control_plane, free_port
from servers.definitions import established
from workload import NAMESPACE, Object, node_objects, pool_object

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
OPERATOR_NAMESPACE = "slicewise-system"
_AT_ONCE = 16
_MERGE = "application/merge-patch+json"
QUIET_CORES = 0.1


@dataclass
class Contestant:
    """A running process and how to end it."""

    user: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        return cpu_seconds(self.process.pid)

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(next(line for line in rollup.splitlines() if line.startswith("Rss:")).split()[1]) * 1024

    def ready(self) -> bool:
        """Whether `/readyz` says so. Raises RuntimeError when the process has ended."""
        self.check()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def check(self) -> None:
        """Raise RuntimeError with its last words when the process has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.user} has ended: {self.log.read_text(errors='replace')[-3000:]}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait; kill what is still there after 20 s."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)


@dataclass
class Arena:
    """A control plane with pools and nodes, and nobody acting on them yet."""

    server: ApiServer
    pools: int
    running: list[Contestant] = field(default_factory=list)

    def audit(self) -> AuditTail:
        """Return the audit log from here on."""
        return AuditTail(self.server.audit_log)

    def list_all(self, path: str) -> list[Object]:
        """Return all objects of a collection."""
        code, answer = self.server.request("GET", path)
        assert code == 200, answer
        return list(answer["items"])

    def count(self, path: str) -> int:
        """Return how many objects a collection has."""
        code, answer = self.server.request("GET", f"{path}?limit=1")
        assert code == 200, answer
        return len(answer["items"]) + int(answer["metadata"].get("remainingItemCount") or 0)

    def bulk(self, requests: Iterable[tuple[str, str, Object, str]]) -> list[Object]:
        """Send (method, path, body, content type) side by side; return the answers in order. AssertionError on a refusal."""
        return asyncio.run(self._bulk(list(requests)))

    def post(self, items: Iterable[tuple[str, Object]]) -> list[Object]:
        """Create objects, given (path of the collection, body)."""
        return self.bulk(("POST", path, body, "application/json") for path, body in items)

    def merge(self, items: Iterable[tuple[str, Object]]) -> list[Object]:
        """Send merge patches, given (path of the object, patch)."""
        return self.bulk(("PATCH", path, body, _MERGE) for path, body in items)

    def settle(self, within: float = 60) -> None:
        """Wait until the API server has nothing to do of its own (a new kind makes it build schemas for seconds)."""
        process = self.server._process
        deadline = time.monotonic() + within
        while process is not None and time.monotonic() < deadline:
            before = cpu_seconds(process.pid)
            time.sleep(1)
            if cpu_seconds(process.pid) - before < QUIET_CORES:
                return

    def operator(self, user: str = "slicewise", **settings: str) -> Contestant:
        """Start our operator with `SLICEWISE_<name>` settings; its health is on a port of its own."""
        port = free_port()
        environment = {
            "SLICEWISE_NAMESPACE": OPERATOR_NAMESPACE,
            "SLICEWISE_POD_NAME": user,
            "SLICEWISE_PORT": str(port),
            **{f"SLICEWISE_{name.upper()}": value for name, value in settings.items()},
        }
        contestant = self.start(user, [sys.executable, "-m", "slicewise"], environment)
        contestant.port = port
        return contestant

    def start(self, user: str, argv: list[str], environment: Mapping[str, str] | None = None) -> Contestant:
        """Start a program that talks to the API server as the service account `user`."""
        log = self.server.directory / f"{user}.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLICEWISE_", "PYTHONPATH", "KUBECONFIG"))}
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                env={**clean, "KUBECONFIG": str(self._kubeconfig(user)), **(environment or {})},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        contestant = Contestant(user, process, log)
        self.running.append(contestant)
        return contestant

    def _kubeconfig(self, user: str) -> Path:
        path = self.server.directory / f"{user}.kubeconfig"
        if path.exists():
            return path
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": user}}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": user, "namespace": OPERATOR_NAMESPACE}],
        }
        accounts = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts"
        self.post([(accounts, account), ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)])
        token = self.post([(f"{accounts}/{user}/token", {"spec": {"expirationSeconds": 7200}})])[0]["status"]["token"]
        config = json.loads(self.server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path.write_text(json.dumps(config))
        return path

    async def _bulk(self, requests: list[tuple[str, str, Object, str]]) -> list[Object]:
        headers = {"Authorization": f"Bearer {self.server.token}", "User-Agent": "bench-harness"}
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, ssl=self.server._tls())
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

            async def send(method: str, path: str, body: Object, content: str) -> Object:
                async with session.request(
                    method, self.server.url + path, data=json.dumps(body), headers={"Content-Type": content}
                ) as response:
                    answer = await response.json()
                    assert response.status < 300, answer
                    return dict(answer)

            return await in_parallel([lambda r=request: send(*r) for request in requests], _AT_ONCE)  # type: ignore[misc]  # lambda


async def in_parallel(jobs: list[Callable[[], Awaitable[Object]]], at_once: int) -> list[Object]:
    """Run jobs, so many at once; return their results in order."""
    results: list[Object] = [{}] * len(jobs)
    waiting = iter(enumerate(jobs))

    async def work() -> None:
        for index, job in waiting:
            results[index] = await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return results


@contextlib.contextmanager
def arena(pools: int, *, with_pools: bool = True) -> Iterator[Arena]:
    """Run a fresh control plane with so many pools, all its files on tmpfs, until the block is left."""
    directory = Path(tempfile.mkdtemp(prefix="slicewise-bench-", dir="/dev/shm"))  # tmpfs on purpose
    try:
        with control_plane(directory) as server:
            here = Arena(server, pools)
            try:
                server.kubectl("apply", "-f", str(REPOSITORY / "crds"))
                established(server, "inferencepools.slicewise.dev")
                for name in (NAMESPACE, OPERATOR_NAMESPACE):
                    server.kubectl("create", "namespace", name)
                _load_nodes(here)
                if with_pools:
                    load_pools(here, range(pools))
                here.settle()
                yield here
            finally:
                for contestant in here.running:
                    if contestant.process.poll() is None:
                        contestant.end(signal.SIGKILL)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def load_pools(here: Arena, indexes: Iterable[int]) -> list[Object]:
    """Create pools; return them as stored."""
    path = f"/apis/slicewise.dev/v1alpha1/namespaces/{NAMESPACE}/inferencepools"
    return here.post((path, pool_object(index)) for index in indexes)


def _load_nodes(here: Arena) -> None:
    nodes = node_objects(here.pools)
    here.post(("/api/v1/nodes", node) for node in nodes)
    here.merge((f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": node["status"]}) for node in nodes)
