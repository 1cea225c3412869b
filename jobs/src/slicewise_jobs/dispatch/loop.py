"""The dispatcher's loops: claiming, renewing leases, and what happens to jobs by time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from slicewise_jobs.decisions.pace import Pace, look_after
from slicewise_jobs.dispatch.metrics import DispatchMetrics
from slicewise_jobs.dispatch.running import Running
from slicewise_jobs.dispatch.waking import Waking
from slicewise_jobs.store.claim import Claimed, claim, look_for_work
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.lease import renew
from slicewise_jobs.store.timekeeping import MOST, keep_time
from slicewise_jobs.store.trouble import StoreError
from slicewise_jobs.store.watch import Watch

log = structlog.get_logger(__name__)
_ALONE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 1.0
"""After an error, or while the pool is away, at most."""
_RENEWALS: Final = 1.5
"""After an outage leases count again once each dispatcher had time to renew its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose jobs a dispatcher runs, under which name, and how often it does what. Times in seconds."""

    pool: str
    owner: str
    max_attempts: int
    lease: float
    renew: float
    poll: float
    keep: float


class Dispatcher:
    """Claims jobs while there is room. Each loop is a task of the caller's."""

    def __init__(self, database: Database, plan: Plan, pace: Pace, metrics: DispatchMetrics, watch: Watch) -> None:
        self._database = database
        self._plan = plan
        self._pace = pace
        self._metrics = metrics
        self._watch = watch
        self._again = min(plan.poll, _AGAIN_SECONDS)
        self._wake = asyncio.Event()
        self._more = True
        """There may be more jobs than were claimed last."""
        self._priorities = True
        """Some job that is queued may have a priority of its own."""
        self.stopping = False
        self.probe: Callable[[], Awaitable[bool | None]] = _cannot_be_told
        """Returns whether the pool answers now."""
        self._alone_since = self._claimed_at = float("-inf")

    def wake(self) -> None:
        """There may be jobs."""
        self._more = True
        self._wake.set()

    def room(self) -> None:
        """A job has ended."""
        self._wake.set()

    async def claim_jobs(self, running: Running, waking: Waking) -> None:
        """Claim jobs until `stopping`."""
        while not self.stopping:
            self._wake.clear()
            room = self._pace.room(len(running), time.monotonic())
            if room and self._more and self._watch.finding is None:
                if (left := self._pace.gather(len(running), self._claimed_at, time.monotonic())) > 0:
                    await asyncio.sleep(left)
                    continue
                allowed, alone = await self._allowed(room, running)
                if allowed:
                    for job in await self._claim(allowed):
                        running.start(job, alone=alone)
                    continue
            if room:
                await waking.want(room)
            await self._sleep()

    async def _allowed(self, room: int, running: Running) -> tuple[int, bool]:
        """Return how many jobs may begin now, and whether that is one alone, because the pool may be away."""
        now = time.monotonic()
        if not running.unsure:
            return room, False
        if len(running):
            if now - self._alone_since < _ALONE_SECONDS:
                return 0, False
            # It takes its time, and the others cannot wait for that.
            running.not_alone()
            return room, False
        serves = await self.probe()
        self._metrics.probes.labels({True: "serves", False: "away", None: "unknown"}[serves]).inc()
        if serves is None:
            return room, False
        if serves:
            self._alone_since = time.monotonic()
            return 1, True
        self._pace.paused_until = max(self._pace.paused_until, now + self._again * random.uniform(1, 2))  # noqa: S311 - spreads load
        return 0, False

    async def _claim(self, room: int) -> list[Claimed]:
        self._claimed_at = time.monotonic()
        try:
            plan = self._plan
            claims = await claim(
                self._database,
                plan.pool,
                plan.owner,
                room,
                plan.lease,
                priorities=self._priorities,
                limited=self._pace.limited.now(time.monotonic()),
            )
        except StoreError as error:
            self._trouble(error)
            await asyncio.sleep(self._again * random.uniform(0.5, 1))  # noqa: S311 - spreads load
            return []
        # One that was woken meanwhile has said so again.
        self._more = self._wake.is_set() or claims.more
        return claims.jobs

    async def _sleep(self) -> None:
        """Wait for a wake, a job's end, or the end of a pause."""
        pause = self._pace.paused_until - time.monotonic()
        try:
            async with asyncio.timeout(pause if pause > 0 else self._plan.poll):
                await self._wake.wait()
        except TimeoutError:
            return

    def _trouble(self, error: StoreError) -> None:
        self._metrics.database_errors.inc()
        self._watch.note(error.finding)

    async def renew_leases(self, running: Running) -> None:
        """Renew the leases of the jobs that run, and end those that were lost."""
        while True:
            await asyncio.sleep(self._plan.renew)
            if tokens := running.tokens():
                try:
                    held = await renew(self._database, tokens, self._plan.lease)
                except StoreError as error:
                    self._trouble(error)
                    continue
                now = running.tokens()
                running.lost({seq for seq, token in tokens.items() if seq not in held and now.get(seq) == token})

    async def look(self) -> None:
        """Look for jobs that no wake told of, and for those whose time has come: one query, while there is nothing to do."""
        due_in = None
        while True:
            wait = self._plan.poll
            try:
                looked = await look_for_work(self._database, self._plan.pool)
                self._priorities, due_in = looked.priorities, looked.due_in
                if looked.due:
                    await self._keep_time()
                if looked.queued:
                    self.wake()
            except StoreError as error:
                self._trouble(error)
                wait = self._again
            await asyncio.sleep(look_after(wait * random.uniform(0.9, 1.1), due_in))  # noqa: S311 - spreads load

    async def _keep_time(self) -> None:
        while True:
            leases = time.monotonic() - self._watch.answers_since > _RENEWALS * self._plan.renew
            happened = await keep_time(
                self._database,
                self._plan.pool,
                max_attempts=self._plan.max_attempts,
                keep_seconds=self._plan.keep,
                leases=leases,
            )
            for kind, number in happened.items():
                self._metrics.by_time.labels(kind).inc(number)
            if happened["queued"] or happened["lease_ended"]:
                self.wake()
            if happened.total() < MOST:
                return


async def _cannot_be_told() -> bool | None:
    return None
