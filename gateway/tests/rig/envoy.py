"""A real Envoy with the configuration that the operator renders and the endpoint files that the agent makes."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import envoy
from servers.processes import end, free_port, spawn

from rig.worker import Worker
from slicewise.envoy import Backend, GatewayModel, Ports, RevisionRoute, envoy_arguments, render_gateway
from slicewise_gateway.agent.envoy import EnvoyAdmin
from slicewise_gateway.agent.files import EnvoyFiles
from slicewise_gateway.agent.kube import Objects
from slicewise_gateway.agent.writer import Inputs, assemble, write

PROGRAM = Path(envoy.__file__).parent / "_bin" / "envoy"
STABLE, CANARY = "aaaa1111", "bbbb2222"
CHAT = "/v1/chat/completions"


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 120, what: str = "condition") -> None:
    """Wait until `await condition()` is true; past the deadline raises AssertionError."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - others' state
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


def route(revision: str, weight: int = 100, fallback: bool = False) -> RevisionRoute:
    backends = [Backend(f"chat-{revision}")]
    if fallback:
        backends.append(Backend("chat-fallback", priority=1, served_by="cpu-fallback"))
    return RevisionRoute(revision, weight, tuple(backends), answers=f"digest-of-{revision}")


def endpoint_slice(service: str, worker: Worker, **conditions: bool) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{worker.name}",
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": service, "slicewise.dev/pool": "chat"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": worker.port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [worker.address],
                "conditions": {"ready": True, **conditions},
                "targetRef": {"kind": "Pod", "name": worker.name},
                "zone": "a",
            }
        ],
    }


class Rig:
    """One gateway: change `model`, `workers` (Service to workers) or `keys`, then `await apply()`."""

    def __init__(self, directory: Path, session: aiohttp.ClientSession, model: GatewayModel) -> None:
        self.directory = directory
        self.session = session
        self.model = replace(
            model,
            directory=str(directory / "envoy"),
            ports=Ports(*(free_port() for _ in range(5))),
        )
        self.workers: dict[str, list[Worker]] = {}
        self.keys: dict[str, str] = {}
        self.admin = EnvoyAdmin(f"http://127.0.0.1:{self.model.ports.admin}", session)
        self.files = EnvoyFiles(directory / "envoy")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.model.ports.http}"

    def slices(self) -> Objects:
        return {
            f"{service}-{each.name}": endpoint_slice(service, each)
            for service, found in self.workers.items()
            for each in found
        }

    async def apply(self) -> list[str]:
        """Write what the model and the workers ask for, as the agent does; return the names of the files that changed."""
        config = render_gateway(self.model).files
        self.files.write("bootstrap.json", config["bootstrap.json"])
        found = assemble(Inputs(config, self.slices(), {name: key.encode() for name, key in self.keys.items()}))
        assert found is not None

        async def at_once(_version: str | None) -> None:
            return

        return await write(found, self.files, at_once)

    def start(self) -> None:
        """Start Envoy on the files that are there."""
        self.process = spawn([str(PROGRAM), *envoy_arguments(self.model)], self.directory / "envoy.log")

    async def until_closed(self, body: bytes) -> bytes:
        """Ask on a connection of its own and return all bytes until it closes, as they come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.model.ports.http)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()

    async def healthy(self, revision: str, count: int) -> None:
        """Wait until Envoy counts so many healthy endpoints."""
        await until(lambda: self._is_healthy(revision, count), what=f"{count} healthy endpoints in {revision}")

    async def _is_healthy(self, revision: str, count: int) -> bool:
        return await self.stat(f"cluster.rev-{revision}.membership_healthy") == count

    async def stat(self, name: str) -> int | None:
        """Return one of Envoy's counters, None where Envoy does not answer or does not have it."""
        try:
            async with self.session.get(
                f"http://127.0.0.1:{self.model.ports.admin}/stats", params={"filter": f"^{name.replace('.', '[.]')}$"}
            ) as answer:
                text = (await answer.text()).strip()
        except aiohttp.ClientError:
            return None
        return int(text.rpartition(": ")[2]) if text else None

    async def ask(self, path: str = CHAT, body: bytes = b"{}", **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Send one request; return status, JSON body, response headers."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self.session.post(self.url + path, data=io.BytesIO(body), headers=named) as answer:
            text = await answer.text()
            return answer.status, json.loads(text), answer.headers

    def access_log(self) -> list[dict[str, Any]]:
        """Return the lines of the access log that Envoy has written out (it does so every ten seconds, and at its end)."""
        lines = (self.directory / "envoy.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    async def ask_until_met(self, worker: Worker, times: int = 1, at_least: int = 1) -> int:
        """Ask `at_least` so often, and until this worker was met so many `times`, for the choice is Envoy's; each request gets
        its answer. Return how many were asked."""
        for count in range(1, 100):
            status, _, headers = await self.ask()
            assert status == 200
            assert "x-slicewise-not-started" not in headers
            if worker.requests >= times and count >= at_least:
                return count
        raise AssertionError(f"only {worker.requests} of a hundred requests came to the worker")


@asynccontextmanager
async def running(
    directory: Path, model: GatewayModel, workers: Mapping[str, list[Worker]], **keys: str
) -> AsyncIterator[Rig]:
    """Run a gateway over workers until the block is left."""
    async with aiohttp.ClientSession() as session:
        rig = Rig(directory, session, model)
        rig.workers = dict(workers)
        rig.keys = keys
        await rig.apply()
        rig.start()
        try:
            await until(rig.admin.is_ready, what="Envoy is ready")
            for found in model.routes:
                await rig.healthy(found.revision, sum(len(rig.workers.get(b.service, [])) for b in found.backends))
            yield rig
        finally:
            rig.stop()
