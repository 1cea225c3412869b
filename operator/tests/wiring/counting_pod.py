"""A gateway's pod for tests with a real API server: follows the pool's ConfigMap, sends requests by its weights, tells of them as Envoy.

The text is what Envoy 1.40 writes, recorded from `gateway/tests/rig`; the agent's answer is that of `/v1/gateway`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from wiring.operator_process import Cluster

LONGEST_SECONDS = 2.0
"""For so long, at most, requests have gone on since the last look: where this process or the operator stood still, they did too."""

COUNTERS = """# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{{envoy_cluster_name="rev-{revision}"}} {requests}
# TYPE envoy_slicewise_failed counter
envoy_slicewise_failed{{slicewise_cluster="rev-{revision}"}} {failed}
# TYPE envoy_slicewise_fast counter
envoy_slicewise_fast{{slicewise_cluster="rev-{revision}",slicewise_limit_ms="{limit_ms}"}} {requests}
"""


@dataclass
class CountingGatewayPod:
    """Envoy and its agent behind one address."""

    cluster: Cluster
    rate: float = 400.0
    """Requests a second of the pool."""
    limit_ms: int = 600
    failing: dict[str, float] = field(default_factory=dict)
    """Revision → share of its requests that fail."""
    sent: dict[str, float] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    version: str | None = None
    silent: bool = False
    """Whether the counters are refused."""
    reads: int = 0
    started: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)

    async def take_up(self) -> None:
        """Take in the ConfigMap as it is now; what was sent until now went by the former weights."""
        path = f"/api/v1/namespaces/{self.cluster.namespace}/configmaps/chat-gateway"
        _, config = await asyncio.to_thread(self.cluster.server.request, "GET", path)
        self._send()
        self.version = json.loads(config["data"]["agent.json"])["version"]
        layer = json.loads(config["data"]["rtds.json"])["resources"][0]["layer"]
        prefix = "slicewise.weight.rev-"
        self.weights = {key.removeprefix(prefix): int(value) for key, value in layer.items() if key.startswith(prefix)}

    def _send(self) -> None:
        now = time.monotonic()
        total, passed = sum(self.weights.values()), min(now - self.moved, LONGEST_SECONDS)
        for revision, weight in self.weights.items():
            self.sent[revision] = self.sent.get(revision, 0.0) + self.rate * passed * weight / total
        self.moved = now

    def text(self) -> str:
        """What Envoy says under `/stats/prometheus`."""
        self._send()
        parts = [f"# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{{}} {int(time.monotonic() - self.started)}\n"]
        for revision, sent in self.sent.items():
            requests = int(sent)
            parts.append(
                COUNTERS.format(
                    revision=revision,
                    requests=requests,
                    failed=int(requests * self.failing.get(revision, 0)),
                    limit_ms=self.limit_ms,
                )
            )
        return "".join(parts)

    async def stats(self, _: web.Request) -> web.Response:
        """Envoy."""
        self.reads += 1
        return web.Response(status=503) if self.silent else web.Response(text=self.text())

    async def agent(self, _: web.Request) -> web.Response:
        """The agent, which follows the ConfigMap."""
        await self.take_up()
        said: dict[str, Any] = {"running": self.version, "wanted": self.version, "programmed": True}
        return web.json_response({**said, "reason": "Programmed", "message": ""})


@contextlib.asynccontextmanager
async def counting_at(address: str, pod: CountingGatewayPod) -> AsyncIterator[CountingGatewayPod]:
    """Answer as a gateway's pod does on its own address."""
    app = web.Application()
    app.router.add_get("/stats/prometheus", pod.stats)
    app.router.add_get("/v1/gateway", pod.agent)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for port in (9090, 9092):
        await web.TCPSite(runner, address, port).start()
    try:
        yield pod
    finally:
        await runner.cleanup()
