"""A gateway's pod as the operator meets it: an object that the test writes, and an agent that answers on an address of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from wiring.heard import heard
from wiring.operator_process import Cluster

MERGE = "application/merge-patch+json"


@dataclass
class PlayedGateway:
    """The agent of the gateway of one pool; says that it runs what the ConfigMap has, or `running`."""

    cluster: Cluster
    address: str
    pool: str = "chat"
    running: str | None = None
    reason: str = ""
    tenants: int | None = None
    """How many it lets in by their keys; None: anyone."""
    asked: int = 0
    pods: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> str:
        path = f"/api/v1/namespaces/{self.cluster.namespace}/configmaps/{self.pool}-gateway"
        code, config = self.cluster.server.request("GET", path)
        assert code == 200, config
        return str(json.loads(config["data"]["agent.json"])["version"])

    async def answer(self, request: web.Request) -> web.Response:
        wanted = await asyncio.to_thread(lambda: self.wanted)
        if await heard(request):
            self.asked += 1
        running = self.running or wanted
        programmed = running == wanted
        reason = self.reason or ("Programmed" if programmed else "Pending")
        body = {"wanted": wanted, "running": running, "programmed": programmed, "reason": reason, "message": "played"}
        keys = {} if self.tenants is None else {"keyed": True, "tenants": self.tenants}
        return web.json_response({**body, **keys})

    def make_pod(self) -> None:
        """Make a pod of the gateway's Deployment, as its controller would."""
        deployment = self.cluster.children()[f"Deployment/{self.pool}-gateway"]
        template = deployment["spec"]["template"]
        name = f"{self.pool}-gateway-5d4f-{len(self.pods)}"
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": f"{self.pool}-gateway-5d4f",
            "uid": deployment["metadata"]["uid"],
            "controller": True,
        }
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": name, "ownerReferences": [owner]},
            "spec": {**template["spec"], "nodeName": "wiring-a"},
        }
        path = f"/api/v1/namespaces/{self.cluster.namespace}/pods"
        code, answer = self.cluster.server.request("POST", path, body)
        assert code == 201, answer
        self.pods.append(name)
        self.ready(name)

    def ready(self, name: str) -> None:
        """Write the status of a pod that runs and is ready."""
        path = f"/api/v1/namespaces/{self.cluster.namespace}/pods/{name}/status"
        status = {
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
            "initContainerStatuses": [_running("envoy", name)],
            "containerStatuses": [_running("agent", name)],
        }
        code, answer = self.cluster.server.request("PATCH", path, {"status": status}, content_type=MERGE)
        assert code == 200, answer


def _running(container: str, pod: str) -> dict[str, Any]:
    identity = {"containerID": f"containerd://{pod}-{container}", "image": "slicewise-gateway:test", "imageID": ""}
    return {"name": container, "ready": True, "restartCount": 0, "state": {"running": {}}, **identity}


@contextlib.asynccontextmanager
async def gateway_at(cluster: Cluster, address: str, pool: str = "chat") -> AsyncIterator[PlayedGateway]:
    """Answer as the agent of a gateway's pod does, until the block is left."""
    played = PlayedGateway(cluster, address, pool)
    app = web.Application()
    app.router.add_get("/v1/gateway", played.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, 9092).start()
    try:
        yield played
    finally:
        await runner.cleanup()
