"""The jobs that a dispatcher runs now: each from its claim until what became of it is durable."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import structlog

from slicewise_jobs.decisions.outcome import Attempt, Fate, counts, retry_delay
from slicewise_jobs.decisions.pace import Pace
from slicewise_jobs.decisions.states import State
from slicewise_jobs.decisions.suspicion import Suspicion
from slicewise_jobs.dispatch.metrics import DispatchMetrics
from slicewise_jobs.store.claim import Claimed
from slicewise_jobs.store.group import GroupCommit
from slicewise_jobs.store.settle import Result, Settled, Settlement
from slicewise_jobs.store.trouble import StoreError

log = structlog.get_logger(__name__)
_SERVED_SECONDS: Final = 60.0
"""How long after an answer the gateway counts as serving."""
_MOST_WAIT: Final = 5.0


class Runs(Protocol):
    """What runs a job."""

    async def run(self, job: Claimed) -> tuple[Attempt, Result | None]:
        """Return what became of one attempt."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often and how soon a job is tried again."""

    max_attempts: int
    retry_seconds: float


@dataclass(slots=True)
class _Run:
    job: Claimed
    task: asyncio.Task[None] | None = None
    asking: bool = True
    """The request still runs; afterwards there is something to write that must not be cancelled."""
    draining: bool = False
    alone: bool = False
    """It was sent alone to a pool that had just answered, and is still alone."""


class Running:
    """All of them. `on_room` is called whenever one has ended, `on_change` with the id of each that began or ended."""

    def __init__(
        self,
        gateway: Runs,
        settler: GroupCommit[Settlement, Settled],
        pace: Pace,
        bounds: Bounds,
        metrics: DispatchMetrics,
        on_room: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._settler = settler
        self._pace = pace
        self._bounds = bounds
        self._metrics = metrics
        self._on_room = on_room
        self.on_change: Callable[[bytes], None] = lambda _: None
        self._runs: dict[int, _Run] = {}
        self._served_at = float("-inf")
        self._suspicion = Suspicion()
        # Asked for when the metrics are read, and not set with each job.
        metrics.running.set_function(lambda: len(self._runs))
        metrics.limit.set_function(lambda: int(pace.limit))

    def __len__(self) -> int:
        return len(self._runs)

    def tokens(self) -> dict[int, int]:
        """Return `seq` → token of each."""
        return {seq: run.job.token for seq, run in self._runs.items()}

    @property
    def unsure(self) -> bool:
        """Whether the pool may be away."""
        return self._suspicion.unsure

    def not_alone(self) -> None:
        """Others are to be sent beside what runs."""
        for run in self._runs.values():
            run.alone = False

    def start(self, job: Claimed, *, alone: bool = False) -> None:
        """Run a job that was claimed. `alone`: no other runs, and the pool has just answered."""
        if earlier := self._runs.get(job.seq):
            # Its lease ended, and this dispatcher itself has claimed it again: only the later claim can write.
            self._stop(earlier)
        run = self._runs[job.seq] = _Run(job, alone=alone)
        if job.attempt == 1:
            self._metrics.waited.observe(job.waited_seconds)
        run.task = _spawn(self._run(run))
        self.on_change(job.id)

    def lost(self, seqs: set[int]) -> None:
        """End the requests of jobs that are no longer this dispatcher's."""
        for seq in seqs:
            if run := self._runs.get(seq):
                self._stop(run)

    def cancelled(self, job_id: bytes) -> None:
        """End the request of a job that a client cancelled."""
        for run in self._runs.values():
            if run.job.id == job_id:
                self._stop(run)

    async def drain(self, seconds: float) -> None:
        """Wait for the jobs that run; after that many seconds they go back to the queue, and the attempt does not count."""
        if tasks := [run.task for run in self._runs.values() if run.task]:
            await asyncio.wait(tasks, timeout=seconds)
        for run in list(self._runs.values()):
            run.draining = True
            self._stop(run)
        if tasks := [run.task for run in self._runs.values() if run.task]:
            await asyncio.wait(tasks, timeout=_MOST_WAIT)

    def _stop(self, run: _Run) -> None:
        if run.asking and run.task:
            run.task.cancel()

    async def _run(self, run: _Run) -> None:
        try:
            try:
                attempt, result = await self._gateway.run(run.job)
            except asyncio.CancelledError:
                if not run.draining:
                    self._metrics.ended["lost"].inc()
                    return
                attempt, result = Attempt(Fate.REFUSED, "The dispatcher was stopped."), None
            run.asking = False
            fate, settlement = self._judge(run, attempt, result)
            self._metrics.ended[fate if await self._write(run, settlement) else "lost"].inc()
        finally:
            if self._runs.get(run.job.seq) is run:
                del self._runs[run.job.seq]
            self.on_change(run.job.id)
            self._on_room()

    def _judge(self, run: _Run, attempt: Attempt, result: Result | None) -> tuple[str, Settlement]:
        """Return what became of an attempt in a word, and what to write. The pace learns of it."""
        job, now = run.job, time.monotonic()
        write = partial(Settlement, job.seq, job.id, job.token)
        if attempt.fate is Fate.DONE:
            self._served_at = now
            self._suspicion.answered()
            self._pace.succeeded()
            return "done", write(State.DONE, result)
        if run.draining:
            return "returned", write(State.QUEUED, counts=False)
        if attempt.fate is Fate.FAILED:
            self._pace.succeeded()
            return "failed", write(State.ERROR, error=attempt.error)
        pause = attempt.retry_after * random.uniform(1, 1.25)  # noqa: S311 - spreads load
        if attempt.fate in {Fate.REFUSED, Fate.UNCLEAR}:
            self._pace.refused(pause, now)
        elif attempt.fate is Fate.LIMITED:
            self._pace.limited.refused(job.tenant, pause, now)
        served = now - self._served_at < _SERVED_SECONDS
        if attempt.fate is Fate.UNCLEAR and self._suspicion.broke(job.id, alone=run.alone):
            served = True
            attempt = replace(attempt, error=f"{attempt.error} The pool answered just before this job was sent alone.")
        most = self._bounds.max_attempts
        if not counts(attempt, served_meanwhile=served, claims=job.token, most_attempts=most):
            wait = attempt.retry_after
            return "refused", write(State.WAITING, error=attempt.error, delay_seconds=wait, counts=False)
        if job.attempt >= most:
            return "dead", write(State.ERROR, error=f"Given up after {job.attempt} attempts: {attempt.error}")
        delay = retry_delay(job.attempt, self._bounds.retry_seconds, random.random())  # noqa: S311 - spreads load
        return "again", write(State.WAITING, error=attempt.error, delay_seconds=delay)

    async def _write(self, run: _Run, settlement: Settlement) -> bool:
        """Return whether the job was still this dispatcher's. While the database is away this is tried again: the answer is here."""
        wait = 0.1
        while True:
            try:
                settled = await self._settler.put(settlement)
            except StoreError as error:
                self._metrics.database_errors.inc()
                log.warning("result not written yet", job=run.job.id.hex(), error=error.finding.message)
                await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads load
                wait = min(2 * wait, _MOST_WAIT)
                continue
            if settled is Settled.LOST:
                log.info("result not kept", job=run.job.id.hex(), reason="cancelled, or another dispatcher has the job")
            return settled is Settled.WRITTEN


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
