"""The agent as a process of its own, and the objects that it follows on a real API server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from servers.control_plane import ApiServer
from servers.processes import end, free_port, spawn

from rig.envoy import STABLE, Rig, endpoint_slice, until
from rig.worker import Worker
from slicewise.envoy import GatewayConfig, GatewayModel, render_gateway

POD = "chat-gateway-0"
"""The name of the pod that the rig is."""


class Cluster:
    """A namespace with a pool's gateway objects in it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.namespace = f"t-{uuid4().hex[:10]}"
        self._put("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": self.namespace}})

    def config(self, files: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> None:
        metadata = {"name": "chat-gateway", "annotations": dict(annotations or {})}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}
        self._put(f"/api/v1/namespaces/{self.namespace}/configmaps", body)

    def endpoints(self, service: str, workers: list[Worker], **conditions: bool) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        wanted = [endpoint_slice(service, worker, **conditions) for worker in workers]
        for body in wanted:
            self._put(path, body)
        names = {body["metadata"]["name"] for body in wanted}
        selector = f"?labelSelector=kubernetes.io/service-name={service}"
        for found in self.server.request("GET", path + selector)[1]["items"]:
            if found["metadata"]["name"] not in names:
                self.server.request("DELETE", f"{path}/{found['metadata']['name']}")

    def gateways(self, ready: Mapping[str, bool]) -> None:
        """What stands behind the pool's Service: pods, and whether each takes connections."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "chat-gateways", "labels": {"kubernetes.io/service-name": "chat"}},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["192.0.2.1"],
                    "conditions": {"ready": is_ready},
                    "targetRef": {"kind": "Pod", "name": name},
                }
                for name, is_ready in ready.items()
            ],
        }
        self._put(path, body)

    def delete_namespace(self) -> None:
        """As in a cluster that deletes its pods first: all that is in it stays."""
        status, answer = self.server.request("DELETE", f"/api/v1/namespaces/{self.namespace}")
        assert status in {200, 202}, answer

    def _put(self, path: str, body: dict[str, Any]) -> None:
        body["metadata"].pop("resourceVersion", None)
        status, answer = self.server.request("POST", path, body)
        if status == 409:
            status, answer = self.server.request("PUT", f"{path}/{body['metadata']['name']}", body)
        assert status in {200, 201}, answer


class AgentRig:
    """A gateway pod: Envoy, and the agent beside it."""

    def __init__(self, rig: Rig, cluster: Cluster) -> None:
        self.rig = rig
        self.cluster = cluster
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        token = rig.directory / "token"
        token.write_text(cluster.server.token)
        prefix = "SLICEWISE_GATEWAY_"
        settings = {
            "POOL": "chat",
            "NAMESPACE": cluster.namespace,
            "CONFIG_MAP": "chat-gateway",
            "ENDPOINTS_SELECTOR": "slicewise.dev/pool=chat",
            "MOUNTED": str(rig.directory / "mounted"),
            "KEYS": str(rig.directory / "keys") if rig.model.tenant_keys else "",
            "DIRECTORY": rig.model.directory,
            "ENVOY_ADMIN": f"http://127.0.0.1:{rig.model.ports.admin}",
            "PORT": str(self.port),
            "API_SERVER": cluster.server.url,
            "TOKEN_FILE": str(token),
            "CA_FILE": str(cluster.server.ca_file),
            "POD_NAME": POD,
            "DRAIN_DELAY_SECONDS": "0.5",
            "DRAIN_LATE_SECONDS": "5",
            "DRAIN_SECONDS": "120",
        }
        named = {prefix + name: value for name, value in settings.items()}
        self._environment = {**os.environ, **named, "PYTHONOPTIMIZE": "2"}  # as in the image

    def program(self, model: GatewayModel) -> GatewayConfig:
        """Write the ConfigMap for a model, as the operator does."""
        rendered = render_gateway(model)
        self.cluster.config(rendered.files)
        return rendered

    def keys(self, **keys: str) -> None:
        """Change the mounted Secret, by a changed link as the kubelet does it."""
        mount = self.rig.directory / "keys"
        version = Path(tempfile.mkdtemp(dir=self.rig.directory))
        for tenant, lines in keys.items():
            (version / tenant).write_text(lines)
        mount.mkdir(exist_ok=True)
        (mount / "..new").symlink_to(version)
        (mount / "..new").rename(mount / "..data")
        for name in {path.name for path in mount.iterdir()} - set(keys):
            if not name.startswith("."):
                (mount / name).unlink()
        for tenant in keys:
            if not (mount / tenant).is_symlink():
                (mount / tenant).symlink_to(Path("..data") / tenant)

    def seed(self, config: GatewayConfig) -> None:
        mounted = self.rig.directory / "mounted"
        mounted.mkdir(exist_ok=True)
        for name, text in config.files.items():
            (mounted / name).write_text(text)
        subprocess.run([*_COMMAND, "seed"], env=self._environment, check=True, timeout=120)

    def start(self) -> None:
        # `spawn` takes no environment of its own.
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            self.process = spawn([*_COMMAND, "agent"], self.rig.directory / "agent.log")
        finally:
            os.environ.clear()
            os.environ.update(before)

    def kill(self) -> None:
        assert self.process is not None
        end(self.process, kill=True)

    def restart_with(self, **settings: str) -> None:
        """Start the agent anew with other settings."""
        self.kill()
        self._environment |= {f"SLICEWISE_GATEWAY_{name}": value for name, value in settings.items()}
        self.start()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask the agent; status 0 when it does not answer."""
        try:
            async with self.rig.session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                is_json = answer.content_type == "application/json"
                return answer.status, await (answer.json() if is_json else answer.text())
        except aiohttp.ClientError:
            return 0, None

    async def said(self, **wanted: object) -> None:
        """Wait until `/v1/gateway` says so."""

        async def says() -> bool:
            status, body = await self.get("/v1/gateway")
            return status == 200 and all(body[key] == value for key, value in wanted.items())

        try:
            await until(says)
        except AssertionError as error:
            log = (self.rig.directory / "agent.log").read_text()[-1500:]
            raise AssertionError(f"{wanted}; last: {await self.get('/v1/gateway')}; log: {log}") from error


@asynccontextmanager
async def gateway_pod(directory: Path, server: ApiServer, model: GatewayModel) -> AsyncIterator[AgentRig]:
    """Run Envoy and the agent in a new namespace until the block is left. There are no endpoints at first."""
    async with aiohttp.ClientSession() as session:
        rig = Rig(directory, session, model)
        pod = AgentRig(rig, Cluster(server))
        pod.seed(pod.program(rig.model))
        rig.start()
        pod.start()
        try:
            await until(rig.admin.is_ready, what="Envoy is ready")
            yield pod
        finally:
            if pod.process is not None:
                end(pod.process, kill=True)
            rig.stop()


_COMMAND = (sys.executable, "-m", "slicewise_gateway")


@asynccontextmanager
async def serving_pod(
    directory: Path, server: ApiServer, model: GatewayModel, workers: list[Worker]
) -> AsyncIterator[AgentRig]:
    """As `gateway_pod`, with workers of the stable revision that Envoy has found healthy."""
    async with gateway_pod(directory, server, model) as pod:
        pod.cluster.endpoints(f"chat-{STABLE}", workers)
        await pod.rig.healthy(STABLE, len(workers))
        yield pod
