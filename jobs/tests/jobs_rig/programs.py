"""`slicewise-jobs api` and `slicewise-jobs dispatch` as processes that a test may end, kill and start again."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, TypeVar

from servers.processes import answers, end, free_port, spawn, wait_until

from slicewise_jobs.settings import DispatchSettings

POOL = "default/chat"
SLOW_DATABASE = {"DATABASE_TIMEOUT_SECONDS": "60"}
"""A disk that others keep busy is no database that is away; a test of one that is gives the time that it waits for."""
QUICK = {"LEASE_SECONDS": "60", "RENEW_SECONDS": "0.5", "POLL_SECONDS": "0.5", "RETRY_SECONDS": "0.2"}
"""What takes a minute in production, in seconds. But for leases: where one ends because the machine stood still, a job runs twice."""
SHORT_LEASES = {"LEASE_SECONDS": "3"}
"""For tests in which dispatchers are lost, and jobs are counted by their results."""
PRODUCTION = {
    name: DispatchSettings.model_fields[name.lower()].default
    for name in ("LEASE_SECONDS", "RENEW_SECONDS", "POLL_SECONDS", "RETRY_SECONDS")
}
"""What a dispatcher takes of these where its variables say nothing."""


class Program:
    """One of the programs."""

    def __init__(self, command: str, folder: Path, **variables: object) -> None:
        self.command = command
        self.internal_port = free_port()
        self._log = folder / f"{command}-{self.internal_port}.log"
        named = {
            "POOL": POOL,
            "HOST": "127.0.0.1",
            "INTERNAL_PORT": self.internal_port,
            "LOG_FORMAT": "text",
            **SLOW_DATABASE,
            **({} if command == "api" else QUICK),
            **variables,
        }
        self._variables = [f"SLICEWISE_JOBS_{name}={value}" for name, value in named.items()]
        self.program = ["-m", "slicewise_jobs"]
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it."""
        argv = ["env", *self._variables, sys.executable, *self.program, self.command]
        self._process = spawn(argv, self._log)

    def start(self, *, ready: bool = True) -> None:
        """Start it and wait until it serves; `ready`: until the database can be trusted."""
        self.begin()
        wait_until(lambda: self.is_ready("readyz" if ready else "healthz"), 150, self.log, every=0.02)

    def is_ready(self, path: str = "readyz") -> bool:
        """Return whether it serves; raises AssertionError where it has ended."""
        assert not self.ended(), self.log()
        return answers(f"{self.internal}/{path}")

    @property
    def internal(self) -> str:
        """Base URL of the port for the cluster."""
        return f"http://127.0.0.1:{self.internal_port}"

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def peak_bytes(self) -> int:
        """Return the most memory that it has had resident."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))

    def log(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-6000:]

    def kill(self) -> None:
        """End it without a word."""
        assert self._process is not None
        end(self._process, kill=True)

    def terminate(self) -> None:
        """Ask it to end, and go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int | None:
        """End it politely and return its status; None for one that never ran."""
        if self._process is None:
            return None
        end(self._process)
        return self._process.returncode

    def standing(self) -> dict[str, Any]:
        """Return what it says of the database."""
        with urllib.request.urlopen(f"{self.internal}/v1/standing", timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def metrics(self) -> str:
        """Return its metrics."""
        with urllib.request.urlopen(f"{self.internal}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    def metric(self, series: str) -> float:
        """Return the value of a series."""
        return next(
            float(line.rpartition(" ")[2]) for line in self.metrics().splitlines() if line.startswith(series + " ")
        )


class Api(Program):
    """The API, on a port of its own."""

    def __init__(self, folder: Path, url_file: Path, ca_file: Path, **variables: object) -> None:
        self.port = free_port()
        known = {"PORT": self.port, "MODEL": "tiny", "DATABASE_URL_FILE": url_file, "DATABASE_CA_FILE": ca_file}
        super().__init__("api", folder, **{**known, **variables})

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://127.0.0.1:{self.port}"


class DispatcherProgram(Program):
    """A dispatcher that is woken by that API."""

    def __init__(
        self, folder: Path, api: Api | None, gateway: str, url_file: Path, ca_file: Path, **variables: object
    ) -> None:
        woken = {"API_HOST": "127.0.0.1", "API_PORT": api.internal_port} if api else {}
        known = {**woken, "GATEWAY_URL": gateway, "DATABASE_URL_FILE": url_file, "DATABASE_CA_FILE": ca_file}
        super().__init__("dispatch", folder, **{**known, **variables})


AnyProgram = TypeVar("AnyProgram", bound=Program)


async def ready(dispatcher: AnyProgram) -> AnyProgram:
    """Start it without holding up the gateway, which runs in the same loop. The process is the main thread's, which outlives the test."""
    dispatcher.begin()
    for _ in range(7500):
        if await asyncio.to_thread(dispatcher.is_ready):
            return dispatcher
        await asyncio.sleep(0.02)
    raise AssertionError(dispatcher.log())


async def connected(api: Api, number: int = 1) -> None:
    """Wait until dispatchers are woken by the API."""
    for _ in range(1500):
        if await asyncio.to_thread(api.metric, "slicewise_jobs_dispatchers") == number:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(api.log())


async def available(program: Program) -> None:
    """Wait until a program takes the database for good."""
    for _ in range(3000):
        if (await asyncio.to_thread(program.standing))["available"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(program.standing())
