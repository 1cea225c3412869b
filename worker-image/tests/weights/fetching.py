"""Run a fetch in a test: in this process, or as the program that the init container runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from slicewise_worker.weights.fetch import fetch
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import Result
from slicewise_worker.weights.settings import Credentials, FetchSettings

KIB, MIB = 1024, 1024**2


def gguf(size: int, seed: int = 1) -> bytes:
    """A file of so many bytes that begins as a model does; the rest is noise that depends on the seed."""
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Ended:
    """How a process ended."""

    code: int
    log: str
    result: dict[str, Any] | None
    termination: dict[str, str] | None

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log's lines about one event; a test's own programs write others."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@dataclass
class Fetcher:
    """Fetches into a cache of the test's own. Settings not named are quick ones, with private addresses allowed."""

    folder: Path
    progress: Progress = field(default_factory=Progress)

    @property
    def cache(self) -> Path:
        return self.folder / "weights"

    def entry(self, digest: str) -> Path:
        return self.cache / digest.removeprefix("sha256:")

    def content(self, result: Result) -> bytes:
        """The bytes that the result points to."""
        return Path(result.path).read_bytes()

    def settings(self, source: str, **changes: Any) -> dict[str, Any]:
        return {
            "source": source,
            "cache_dir": self.cache,
            "result_file": self.folder / "run" / "weights.json",
            "credentials_dir": self.folder / "credentials",
            "claim_dir": self.folder / "source",
            "termination_log": self.folder / "termination-log",
            "port": 0,
            "allow_private": True,
            "patience_seconds": 120,
            "max_backoff_seconds": 0.05,
            "stall_seconds": 60,
            "checkpoint_bytes": 64 * KIB,
            **changes,
        }

    async def fetch(self, source: str, credentials: Credentials | None = None, **changes: Any) -> Result:
        """In this process. Raises what the fetch raises."""
        settings = FetchSettings(**self.settings(source, **changes))
        return await fetch(settings, credentials or Credentials(), self.progress)

    async def start(
        self,
        source: str,
        *,
        prefix: tuple[str, ...] = (),
        more: Mapping[str, str] = MappingProxyType({}),
        **changes: Any,
    ) -> asyncio.subprocess.Process:
        """As a process, with `more` in its environment; its log is on stderr."""
        given = {
            f"SLICEWISE_FETCH_{key.upper()}": str(value) for key, value in self.settings(source, **changes).items()
        }
        plain = {key: value for key, value in os.environ.items() if not key.startswith("SLICEWISE_FETCH_")}
        command = (*prefix, sys.executable, "-m", "slicewise_worker.weights")
        return await asyncio.create_subprocess_exec(
            *command, env={**plain, **given, **more}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

    async def ended(self, process: asyncio.subprocess.Process) -> Ended:
        """Wait for the process and read what it left."""
        output, log = await asyncio.wait_for(process.communicate(), 180)
        assert process.returncode is not None
        result, termination = self.folder / "run" / "weights.json", self.folder / "termination-log"
        return Ended(
            process.returncode,
            output.decode() + log.decode(),
            json.loads(result.read_text()) if result.exists() else None,
            json.loads(termination.read_text()) if termination.exists() else None,
        )

    async def run_with(self, more: Mapping[str, str], source: str, **changes: Any) -> Ended:
        return await self.ended(await self.start(source, more=more, **changes))

    async def run(self, source: str, **changes: Any) -> Ended:
        return await self.ended(await self.start(source, **changes))


async def until(condition: Any, what: str, seconds: float = 120) -> None:
    """Wait until the condition holds; `what` says in words what did not come."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0.01)
