"""The parts of an installation in which everything is wrong that an alert is for: real exporters, served over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from aiohttp import web
from builders import MIG, make_pool
from monitored import DCGM
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from servers.processes import free_port
from simulation import Simulation

from slicewise.clients.resources import NODES, PODS, POOLS
from slicewise.controller.operator import Operator
from slicewise.pool.observed import FetchProgress
from slicewise.settings import OperatorSettings
from slicewise.telemetry.pools import read_shown
from slicewise_gateway.agent.metrics import AgentMetrics
from slicewise_gateway.agent.report import Report
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_jobs.dispatch.metrics import DispatchMetrics
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.pressure import Memory

CONDITIONS = {
    "stalled": ("Stalled", "True", "SecretMissing"),
    "short": ("CapacityAvailable", "False", "NotEnoughSlices"),
    "dead": ("Degraded", "True", "DeviceUnhealthy"),
    "cpu": ("FallbackActive", "True", "Serving"),
    "deaf": ("AutoscalingActive", "False", "LoadUnknown"),
    "full": ("AutoscalingActive", "True", "AtMaxReplicas"),
    "over": ("BudgetAtRisk", "True", "BudgetSpent"),
    "unpriced": ("BudgetAtRisk", "Unknown", "PriceUnknown"),
    "jobless": ("JobsAvailable", "False", "DatabaseAway"),
    "rare": ("RolloutProgressing", "False", "Undecided"),
}
"""Pool → the condition that its alert is for."""
GIB = 1 << 30


def _pod(pool: str, name: str, **status: Any) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{pool}-a-aa24964c-5d4f", "controller": True}
    marks = {"slicewise.dev/pool": pool, "slicewise.dev/zone": "a", "slicewise.dev/revision": "aa24964c"}
    metadata = {"name": f"{pool}-{name}", "namespace": "team", "uid": f"{pool}-{name}", "resourceVersion": "1"}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {
        "metadata": {**metadata, "labels": marks, "ownerReferences": [owner]},
        "spec": {"nodeName": "node", "containers": [{"name": "worker", "resources": {"limits": {MIG: "1"}}}]},
        "status": {**ready, **status},
    }


class WrongOperator:
    """An operator that leads and has an API server's worth of trouble. It connects to none: what it knows is put into its cache."""

    def __init__(self) -> None:
        self.operator = Operator(OperatorSettings())
        self.metrics = self.operator._metrics
        self.cache = self.operator._cache
        self.cache.ingest(
            NODES,
            {
                "metadata": {"name": "node", "uid": "node", "resourceVersion": "1"},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {MIG: "20"}},
            },
        )
        for pool, (kind, status, reason) in CONDITIONS.items():
            self._show(pool, {"conditions": [{"type": kind, "status": status, "reason": reason}]})
        self._show("bad", {"rollout": {"phase": "RolledBack"}})
        self._show("floor", {"zones": [{"name": "a", "desired": 2, "floor": 2}]})
        self._show("good", {"zones": [{"name": "a", "desired": 1, "floor": 1}]}, "AllWorkersReady")
        drain = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
        drain.settle()
        drain.nodes["node-a"] = replace(drain.nodes["node-a"], cordoned=True)
        drain.settle()
        plan = drain.operate()
        self._show("drain", dict(plan.status), "AllWorkersReady", dict(plan.drains_blocked))
        for pool in ("floor", "good"):
            self.cache.ingest(PODS, _pod(pool, "one"))
        self.cache.ingest(PODS, _pod("floor", "two"))
        self._restarts = 0
        self._restarted()
        self._show("fetch", {})
        fetching = {"name": "fetch", "state": {"running": {}}}
        self.cache.ingest(PODS, _pod("fetch", "one", phase="Pending", conditions=[], initContainerStatuses=[fetching]))
        record = next(iter(self.cache.pools["team", "fetch"].pods.values()))
        record.progress = FetchProgress(bytes_done=10, bytes_total=100)
        self.operator._intake.complete.set()
        self.operator._on_lead(True)

    def _show(
        self, pool: str, status: dict[str, Any], reason: str = "Wrong", drains: dict[str, int] | None = None
    ) -> None:
        metadata = {"name": pool, "namespace": "team", "uid": pool, "resourceVersion": "1"}
        self.cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
        entry = self.cache.pools["team", pool]
        entry.shown, entry.reason = read_shown(status, drains), reason

    def _restarted(self) -> None:
        statuses = [{"name": "worker", "restartCount": self._restarts, "state": {"running": {}}}]
        body = _pod("often", "one", containerStatuses=statuses)
        body["metadata"]["resourceVersion"] = str(self._restarts + 1)
        self._show("often", {}, "AllWorkersReady")
        self.cache.ingest(PODS, body)

    def break_down(self) -> None:
        """Lose a worker of a pool at its floor, and have another one started again and again; once it was seen before."""
        self.cache.ingest(PODS, _pod("floor", "two"), deleted=True)
        self._restarts = 8

    def tick(self) -> None:
        """Fail once more at what the operator does all the time."""
        self.metrics.reconciled("error", 0.1, RuntimeError("wrong"))
        self.metrics.requested("apply", 500)
        self.metrics.pod_removed("DeviceUnhealthy")
        self._restarts += bool(self._restarts)
        self._restarted()

    def step_down(self) -> None:
        """Lead no longer."""
        self.operator._on_lead(False)


class WrongWorker:
    """A worker that is slow, full, under pressure, and loses its device."""

    def __init__(self) -> None:
        self.metrics = WorkerMetrics()
        self.metrics.describe({"model": "tiny"}, on_gpu=True)
        self.device: Memory | None = Memory(used=7 * GIB, total=10 * GIB, planned=6 * GIB)
        busy = Progress(steps=1, busy=True, since=0.0, failed=None, running=4, waiting=8, cached_tokens=1)
        self.metrics.watch(lambda: busy, 1024, 1)
        container = Memory(used=76 * GIB, total=100 * GIB)
        self.metrics.watch_health(lambda: False, lambda: container, lambda: self.device)

    def tick(self) -> None:
        """Answer late, and refuse another request."""
        self.metrics.ended("stop", 70.0, None)
        self.metrics.rejected("queue_full")

    @staticmethod
    def good() -> WorkerMetrics:
        """Return the metrics of a worker in order."""
        metrics = WorkerMetrics()
        idle = Progress(steps=1, busy=False, since=0.0, failed=None, running=0, waiting=0, cached_tokens=0)
        metrics.watch(lambda: idle, 1024, 1)
        metrics.watch_health(lambda: True, lambda: Memory(1, 100), lambda: Memory(1, 100))
        metrics.ended("stop", 1.0, None)
        return metrics


class WrongGateway:
    """Agent and edge of a gateway that does not reach the API server, a Redis, or a worker, and whose Envoy refuses its files."""

    def __init__(self) -> None:
        self.agent, self.edge = AgentMetrics(), EdgeMetrics()
        refused = Report("2", "1", programmed=False, reason="Refused", message="", refused=("lds.json",))
        self.agent.show(refused, None, in_touch=False)
        self.edge.say_redis(addressed=True)
        self.edge.redis_open.set(1)

    def tick(self) -> None:
        """Let one more request wait without success."""
        self.edge.held.labels("expired").inc()


class WrongJobs:
    """An API that accepts jobs, and a dispatcher of which none ends, but for those that fail for the last time."""

    def __init__(self) -> None:
        self.api, self.dispatcher = ApiMetrics(), DispatchMetrics()
        self.api.ready.set(1)

    def tick(self) -> None:
        """Accept another job, and give up on one of which a dispatcher was lost."""
        self.api.submitted.labels("accepted").inc()
        self.api.submit_seconds.observe(0.01)
        self.dispatcher.by_time.labels("dead").inc()
        self.dispatcher.attempts.labels("again").inc()
        self.dispatcher.waited.observe(1)


def dcgm(namespace: str, pod: str) -> CollectorRegistry:
    """Return what the DCGM exporter has of the slice of a pod, by the names that its own ServiceMonitor leads to; it needs a GPU."""
    registry = CollectorRegistry()
    labels = {
        "gpu": "0",
        "GPU_I_ID": "7",
        "GPU_I_PROFILE": "1g.10gb",
        "exported_namespace": namespace,
        "exported_pod": pod,
    }
    for name in sorted(DCGM):
        Gauge(name, "As DCGM has it.", list(labels), registry=registry).labels(**labels).set(1)
    return registry


class Served:
    """Registries over HTTP, as the programs serve theirs."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []
        self.scrapes: list[dict[str, Any]] = []

    async def add(self, job: str, registry: CollectorRegistry, **labels: str) -> None:
        """Serve a registry, with the labels that the chart's monitors would put on it."""

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

        app = web.Application()
        app.add_routes([web.get("/metrics", metrics)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        self.scrape(job, port, "/metrics", **labels)

    def scrape(self, job: str, port: int, path: str, **labels: str) -> None:
        """Scrape what is served already."""
        targets = [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]
        self.scrapes.append(
            cast(
                "dict[str, Any]",
                {"job_name": job, "honor_labels": True, "metrics_path": path, "static_configs": targets},
            )
        )

    async def stop(self) -> None:
        """Stop serving."""
        for runner in self._runners:
            await runner.cleanup()
