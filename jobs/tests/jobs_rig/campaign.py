"""A campaign of kills: clients send jobs and wait for their answers while everything is killed, and keep a log of what they were told.

The log is what is judged, together with the tables at the end: never what the programs count themselves.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.kills import Rig, kill_one
from jobs_rig.programs import PRODUCTION

ANSWER_SECONDS = 0.05
_AHEAD = 2
"""Kills for which there are jobs in advance, so that each one meets work."""
_MOST_OPEN = 1000
_MOST_POSTS = 64
_FIRST_LOOK_SECONDS = 1.0
_TWICE_EVERY = 10
"""One job of that many is sent twice at the same moment, with the same key."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many jobs, and how often what is killed."""

    jobs: int = 300
    kills: Mapping[str, int] = field(default_factory=lambda: {"dispatcher": 4, "api": 2, "database": 2})
    # However often the same job is hit: that attempts end is another test's subject.
    dispatchers: Mapping[str, int] = field(default_factory=lambda: {"MAX_ATTEMPTS": 100, "SLOTS": 8})
    show_seconds: float = 0
    """Between two lines about how far it is; 0: none."""

    @classmethod
    def read(cls) -> Scale:
        """Return what the environment asks for, with the leases of production; the small campaign where it asks for nothing."""
        if "SLICEWISE_KILL_JOBS" not in os.environ:
            return cls()
        numbers = os.environ.get("SLICEWISE_KILLS", "200 20 20").split()
        kills = dict(zip(("dispatcher", "api", "database"), map(int, numbers), strict=True))
        return cls(int(os.environ["SLICEWISE_KILL_JOBS"]), kills, PRODUCTION | {"SLOTS": 32}, show_seconds=5)

    @property
    def slots(self) -> int:
        """Jobs that a dispatcher runs at a time."""
        return self.dispatchers["SLOTS"]

    def sequence(self) -> list[str]:
        """Return the kills in order, those of each kind evenly spread."""
        places = [((turn + 0.5) / number, what) for what, number in self.kills.items() for turn in range(number)]
        return [what for _, what in sorted(places)]


class Log:
    """What the clients were told: a line is written before anything follows from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._accepted: set[str] = set()
        self.seen = 0

    @property
    def accepted(self) -> int:
        """How many jobs were acknowledged, however often."""
        return len(self._accepted)

    def write(self, what: str, prompt: str, value: str) -> None:
        """Add that a job was `accepted` with this id, or `seen` with this answer."""
        self._file.write(json.dumps([what, time.monotonic(), prompt, value]) + "\n")
        if what == "accepted":
            self._accepted.add(prompt)
        else:
            self.seen += 1

    def close(self) -> None:
        """Write no more; it can still be read."""
        self._file.close()

    def read(self) -> tuple[dict[str, list[tuple[float, str]]], dict[str, list[tuple[float, str]]]]:
        """Return prompt → when and what, of all that was accepted and all that was seen."""
        found: dict[str, dict[str, list[tuple[float, str]]]] = {
            "accepted": defaultdict(list),
            "seen": defaultdict(list),
        }
        for line in self.path.read_text(encoding="utf-8").splitlines():
            what, at, prompt, value = json.loads(line)
            found[what][prompt].append((at, value))
        return found["accepted"], found["seen"]


class Campaign:
    """Clients, kills, and what both have met. `run` ends when every job's answer was seen."""

    def __init__(self, rig: Rig, gateway: FakeGateway, session: aiohttp.ClientSession, log: Log, scale: Scale) -> None:
        self.rig = rig
        self.gateway = gateway
        self.client = Client(rig.api.url, session, "acme")
        self.log = log
        self.scale = scale
        self.killed: Counter[str] = Counter()
        self.began: dict[str, list[float]] = defaultdict(list)
        """Prompt → when each of its runs came to the gateway."""
        self.answers: Counter[int] = Counter()
        """What the API answered to POST."""
        self._hungry = False
        """Nothing runs, and a kill waits for something to meet."""
        self._posts = asyncio.Semaphore(_MOST_POSTS)
        self._started = time.monotonic()
        gateway.keeps = False
        gateway.answer = later(ANSWER_SECONDS, self._answer)

    async def _answer(self, request: Any, body: dict[str, Any]) -> Any:
        """Answer each run of a job differently: a job with two results would show another one later."""
        message = body["messages"][0]
        message["content"] = f"{message['content']}, run {len(self.began[message['content']])}"
        return await self.gateway.echo(request, body)

    async def run(self) -> None:
        """Send all jobs, kill all that is to be killed, and see all answers."""
        self.gateway.on_asked = lambda prompt: self.began[prompt].append(time.monotonic())
        telling = asyncio.create_task(self._tell()) if self.scale.show_seconds else None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._kill())
                tasks.create_task(self._send())
        finally:
            if telling:
                telling.cancel()

    async def _send(self) -> None:
        room = asyncio.Semaphore(_MOST_OPEN)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.scale.jobs):
                await until(partial(self._may_come, number), 600)
                await room.acquire()
                tasks.create_task(self._one(number)).add_done_callback(lambda _: room.release())

    def _may_come(self, number: int) -> bool:
        kills = sum(self.scale.kills.values())
        # One at a time: what is left is for later kills.
        hungry, self._hungry = self._hungry, False
        return hungry or number * (kills + 1) <= self.scale.jobs * (self.killed.total() + _AHEAD)

    async def _one(self, number: int) -> None:
        prompt = f"job {number}"
        times = 2 if number % _TWICE_EVERY == 0 else 1
        job_id, *_ = await asyncio.gather(*(self._post(prompt) for _ in range(times)))
        wait = _FIRST_LOOK_SECONDS
        while True:
            await asyncio.sleep(wait)
            with suppress(aiohttp.ClientError, TimeoutError):
                status, job, _ = await self.client.call("GET", f"/jobs/{job_id}")
                assert status in {200, 503}, (status, job)
                if status == 200 and job["status"] == "done":
                    self.log.write("seen", prompt, job["result"]["choices"][0]["message"]["content"])
                    return
                assert status == 503 or job["status"] in {"queued", "running"}, job
            wait = min(1.5 * wait, 5.0)

    async def _post(self, prompt: str) -> str:
        """Send a job until it is acknowledged, as a client with a key does."""
        async with self._posts:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError):
                    status, body, headers = await self.client.call("POST", "/jobs", json={"prompt": prompt}, key=prompt)
                    assert status == 202 or (status == 503 and headers["Retry-After"]), body
                    self.answers[status] += 1
                    if status == 202:
                        self.log.write("accepted", prompt, body["job_id"])
                        return str(body["job_id"])
                await asyncio.sleep(0.2)

    async def _kill(self) -> None:
        for turn, what in enumerate(self.scale.sequence()):
            await until(partial(self._meets_work, turn), 600)
            await kill_one(self.rig, what)
            self.killed[what] += 1

    def _meets_work(self, turn: int) -> bool:
        """Whether the kill of this turn is due, and jobs run."""
        assert self.log.seen < self.scale.jobs, "no job is left for this kill to meet"
        self._hungry = meets_nothing = not self.gateway.now
        due = self.log.accepted * (sum(self.scale.kills.values()) + 1) >= self.scale.jobs * (turn + 0.5)
        return due and not meets_nothing

    async def _tell(self) -> None:
        while True:
            print(self.standing(), flush=True)
            await asyncio.sleep(self.scale.show_seconds)

    @property
    def seconds(self) -> float:
        """Since its beginning."""
        return time.monotonic() - self._started

    def standing(self) -> str:
        """Return how far it is, in a line."""
        passed = int(self.seconds)
        kills = ", ".join(f"{what} {self.killed[what]}/{number}" for what, number in self.scale.kills.items())
        jobs = f"accepted {self.log.accepted:,}, done {self.log.seen:,} of {self.scale.jobs:,}"
        return f"{passed // 60:02}:{passed % 60:02} {jobs}; killed: {kills}; runs {self.gateway.asked.total():,}"
