"""The engine for vectors: one thread that owns a context with pooling, and evaluates whole texts, those of several requests in a step.

Called by the HTTP side through `submit` and `close` from any thread; everything else happens in the thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from slicewise_worker.engine.callers import BATCH_SHARE, NO_TENANT, Caller, Tenant, is_batch, owner_of
from slicewise_worker.engine.llama import ContextShape, Model
from slicewise_worker.engine.pace import Asked
from slicewise_worker.engine.pooled import ABORTED, PooledContext
from slicewise_worker.engine.report import Progress, Step
from slicewise_worker.engine.request import TOKEN_BYTES, Broken, Limits, Times
from slicewise_worker.engine.schedule import deal_by_class
from slicewise_worker.engine.step_thread import Shortage, StepThread
from slicewise_worker.engine.tenants import PROMPT_COST

log = structlog.get_logger(__name__)

VECTOR_BYTES: Final = 64 << 20
"""What the vectors of all requests may take until they are sent: 2,048 of 8,192 numbers."""
NUMBER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Vectors:
    """A row for each input, as the model gave it."""

    rows: NDArray[np.float32]


VectorEvent = Vectors | Broken


@dataclass(slots=True, eq=False)
class Job:
    """A request: `inputs` are its texts as tokens, of which the first `done` have their rows. `on_event` is called once, at its end."""

    inputs: Sequence[Sequence[int]]
    on_event: Callable[[VectorEvent], None]
    submitted: float
    deadline: float
    rows: NDArray[np.float32]
    tokens: int
    kept: int
    """Bytes that its caller keeps for its answer."""
    done: int = 0
    tenant: Tenant = None
    closed: bool = False
    """Its client has its vectors, or wants them no more."""
    times: Times = field(default_factory=Times)

    @property
    def size(self) -> int:
        """Bytes that it holds until it is closed."""
        return self.tokens * TOKEN_BYTES + self.rows.nbytes + self.kept

    def over(self, now: float) -> bool:
        """Whether no client waits for what is left of it."""
        return self.closed or self.deadline <= now


NotifyVectors = Callable[[list[tuple[Job, VectorEvent]]], None]


class Embedder(StepThread[Job]):
    """Makes vectors of texts, or marks where the model is a reranker."""

    def __init__(self, model: Model, shape: ContextShape, limits: Limits, notify: NotifyVectors) -> None:
        """Allocate the context; raises `LlamaError`. Of `limits`, `sequences` are the requests that are worked on at a time."""
        super().__init__(limits)
        self.model = model
        self._context = PooledContext(model, shape, self._go_on)
        self.width = self._context.width
        self._notify = notify
        self._running: deque[Job] = deque()
        self._open: set[Job] = set()
        self._events: list[tuple[Job, VectorEvent]] = []
        self._inside: list[Job] = []
        """Those whose inputs are in the step."""
        self._tokens = 0
        """Of the step that was carried out, 0 where it failed."""

    def _load(self) -> int:
        return len(self._waiting) + len(self._running)

    def _close(self) -> None:
        self._context.close()

    def _begins_at_once(self, tenant: Tenant) -> bool:
        return self._has_place_for(tenant)

    def _asked(self, entry: Job) -> Asked:
        return Asked(entry.tokens, 0)

    @property
    def most_bytes(self) -> int:
        """What the inputs and vectors of all requests may hold."""
        return self.limits.prompt_tokens * TOKEN_BYTES + VECTOR_BYTES

    def submit(
        self,
        inputs: Sequence[Sequence[int]],
        on_event: Callable[[VectorEvent], None],
        deadline: float,
        kept: int = 0,
        caller: Caller = NO_TENANT,
    ) -> Job:
        """Queue a request, to be closed by the caller; what has not ended by `deadline` (monotonic, in seconds) ends as `Broken`.

        So does what is removed for a tenant of which less waits. Raises `QueueFullError`, `TooLateError` where it cannot begin by
        `deadline`, and `StoppedError` when the engine takes no more work. The caller has checked that there are inputs, each of one
        to `limits.context_tokens` tokens, and that all of them and their vectors fit the bounds of one request.
        """
        now, tenant = time.monotonic(), caller.tenant
        rows = np.empty((len(inputs), self.width), np.float32)
        job = Job(inputs, on_event, now, deadline, rows, sum(map(len, inputs)), kept, tenant=tenant)
        with self._changed:
            self._check_taking()
            self._waiting.weigh(tenant, caller.weight)
            load = self._load()
            self._check_in_time(tenant, job.tokens, deadline - now)
            held = sum(one.size for one in self._open)
            places = Shortage[Job](
                f"{len(self._waiting)} requests are waiting",
                1,
                load + 1 - self.limits.sequences - self.limits.max_queue,
                lambda _: 1,
            )
            room = Shortage[Job](
                f"the inputs and vectors of other requests hold {held} bytes",
                job.size,
                held + job.size - self.most_bytes,
                lambda other: other.size,
            )
            self._make_room(tenant, places, room)
            self._open.difference_update(self._removed)
            if not load:
                self._since = now
            self._open.add(job)
            self._waiting.push(job)
            self._changed.notify()
        return job

    def close(self, job: Job) -> None:
        """Give up what `job` still waits for, and what it holds; a step in which no other job has inputs ends."""
        with self._changed:
            job.closed = True
            self._open.discard(job)
            self._changed.notify()

    def progress(self) -> Progress:
        """Return how it goes; from any thread."""
        with self._changed:
            running, waiting = len(self._running), len(self._waiting)
            return Progress(self._steps, bool(running or waiting), self._since, self._failed, running, waiting, 0)

    def _go_on(self) -> bool:
        """Whether a client wants the step that is being computed. llama.cpp asks between the parts of a network: a sign of life."""
        self._since = now = time.monotonic()
        return not self._stopping and not all(job.over(now) for job in self._inside)

    def _turn(self) -> None:
        """Carry out one step. Who has all its vectors hears of it before the next step begins."""
        started = time.monotonic()
        with self._changed:
            self._tell_removed()
            for job in [job for job in (*self._running, *self._waiting) if job.over(started)]:
                self._drop(job, started)
            self._running = deque(job for job in self._running if not job.over(started))
            self._waiting.keep(lambda job: not job.over(started))
            while self._waiting and self._has_place_for(tenant := self._waiting.next_tenant()):
                job = self._waiting.pop_of(tenant)
                self._waiting.charge(job.tenant, PROMPT_COST * job.tokens)
                self._running.append(job)
                job.times.waited = max(0.0, started - job.submitted)
                if self.observer:
                    self.observer.begun(owner_of(job.tenant), job.times.waited, job.tokens)
            self._running.rotate(-1)
            turn = list(self._running)
            contended = self._waiting.ready
        if turn:
            self._evaluate(turn, started)
        with self._changed:
            self._since = time.monotonic()
            if self._tokens and contended:
                self._pace.stepped(self._since - started, self._tokens, full=True)
            self._tokens = 0
        if self._events:
            events, self._events = self._events, []
            self._notify(events)

    def _has_place_for(self, tenant: Tenant) -> bool:
        """Whether one more request of `tenant` is worked on: its first one always is, since others may take thousands of steps.

        Those of batch take no room of those that are not.
        """
        before = sum(is_batch(tenant) or not is_batch(job.tenant) for job in self._running)
        return before < self.limits.sequences or all(job.tenant != tenant for job in self._running)

    def _drop(self, job: Job, now: float) -> None:
        if not job.closed:
            after = f"{now - job.submitted:.1f} s after it was taken on"
            message = f"the time allowed for the request was over after {job.done} of {len(job.inputs)} inputs, {after}"
            self._events.append((job, Broken("timeout", message)))
        if self.observer:
            self.observer.ended("cancelled" if job.closed else "expired", now - job.submitted, None)

    def _evaluate(self, jobs: Sequence[Job], started: float) -> None:
        shape = self._context.shape
        left = [[len(tokens) for tokens in islice(job.inputs, job.done, job.done + shape.sequences)] for job in jobs]
        batch = [is_batch(job.tenant) for job in jobs]
        first = self._steps % BATCH_SHARE == BATCH_SHARE - 1
        counts = deal_by_class(left, batch, shape.batch, shape.sequences, batch_first=first)
        self._inside = [job for job, count in zip(jobs, counts, strict=True) if count]
        inputs = [
            tokens
            for job, count in zip(jobs, counts, strict=True)
            for tokens in islice(job.inputs, job.done, job.done + count)
        ]
        result = self._context.evaluate(inputs)
        if self.model.step_delay:
            time.sleep(self.model.step_delay)
        if result == ABORTED:
            return
        if result:
            self._give_up(result)
            return
        self._stepped()
        self._take(jobs, counts)
        self._tokens = tokens = sum(map(len, inputs))
        if self.observer:
            self.observer.stepped(Step(time.monotonic() - started, tokens, tokens, 0))

    def _take(self, jobs: Sequence[Job], counts: Sequence[int]) -> None:
        """Note the rows of a step; who has all of them ends."""
        row = 0
        for job, count in zip(jobs, counts, strict=True):
            for _ in range(count):
                job.rows[job.done] = self._context.vector(row)
                job.done += 1
                row += 1
            if job.done == len(job.inputs):
                self._events.append((job, Vectors(job.rows)))
                self._leave(job, "stop")

    def _give_up(self, result: int) -> None:
        """End the requests of a step that llama.cpp could not evaluate; the others and the queue go on."""
        log.error("step failed", llama_decode=result, requests=len(self._inside))
        for job in self._inside:
            message = f"llama.cpp could not evaluate the step (code {result})"
            self._events.append((job, Broken("engine_failed", message)))
            self._leave(job, "error")
        self._step_failed(result)

    def _leave(self, job: Job, outcome: str) -> None:
        seconds = time.monotonic() - job.submitted
        with self._changed:
            self._running.remove(job)
        if self.observer:
            self.observer.ended(outcome, seconds, None)

    def _end(self, entry: Job, broken: Broken) -> None:
        if not entry.closed:
            self._events.append((entry, broken))
        if self.observer:
            self.observer.ended("refused", time.monotonic() - entry.submitted, None)

    def _break_all(self, broken: Broken) -> None:
        with self._changed:
            jobs = [*self._running, *self._waiting, *self._removed]
            self._running.clear()
            self._waiting.clear()
        self._events += [(job, broken) for job in jobs if not job.closed]
        self._notify(self._events)
        self._events = []
