"""The processes of the gateway's benchmark: workers, load, Redis and the contestants in front of the workers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from servers.processes import end, free_port, spawn

HERE = Path(__file__).resolve().parent
KEY = "sk-key-of-the-bench"
"""In the form that LiteLLM asks of a key."""


@dataclass(slots=True)
class Sample:
    """One request of a run. `at` and `seconds` from its scheduled time; status 0: the connection broke."""

    at: float
    seconds: float
    status: int
    cache: str


@dataclass(slots=True)
class Upstream:
    """A worker process; looks to the gateway's rig like the workers of the tests."""

    port: int
    directory: Path
    pause: float
    address: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"w-{self.port}"

    def start(self) -> None:
        argv = [sys.executable, str(HERE / "upstream.py"), str(self.port), str(self.pause)]
        self.process = spawn(argv, self.directory / "upstream.log")

    def kill(self) -> None:
        if self.process is not None:
            end(self.process, kill=True)
            self.process = None

    async def begun(self, session: aiohttp.ClientSession) -> int:
        """Return how many completions it has begun."""
        async with session.get(f"http://{self.address}:{self.port}/count") as answer:
            return int(await answer.text())


@contextmanager
def upstreams(directory: Path, count: int, pause: float = 0.0) -> Iterator[list[Upstream]]:
    """Run so many workers until the block is left."""
    found = [Upstream(free_port(), directory, pause) for _ in range(count)]
    try:
        for each in found:
            each.start()
        yield found
    finally:
        for each in found:
            each.kill()


async def load(port: int, rate: float, seconds: float, *, bodies: int = 0, seed: int = 0) -> list[Sample]:
    """Load a port from a process of its own; return what came of each request."""
    arguments = [str(value) for value in (port, rate, seconds, KEY, bodies, seed)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "load.py"), *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return [Sample(*fields) for fields in json.loads(out)["samples"]]


@contextmanager
def process(argv: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block is left."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        started = spawn(list(argv), log)
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        yield started
    finally:
        end(started)
