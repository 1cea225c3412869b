"""From a connection to tokens, within bounds: of time, of bytes, and of what is prepared at once.

Parsing, rendering and tokenizing happen in threads of their own, so that no body and no text holds up the event loop;
large bodies have one thread to themselves, so that a short question does not wait for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from traceback import clear_frames
from typing import Any, TypeVar

from starlette.requests import Request

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.constraint import UntriedError
from slicewise_worker.engine.threads import prompt_threads
from slicewise_worker.http.account import account_of
from slicewise_worker.http.answer import unless_gone
from slicewise_worker.http.body import BodyLimits, BodyReader
from slicewise_worker.http.caller import is_batch
from slicewise_worker.http.deadline import Deadline, Patience, deadline_of, timed_out
from slicewise_worker.http.errors import not_started
from slicewise_worker.http.tenant import tenant_of
from slicewise_worker.http.turns import Turns

T = TypeVar("T")
Wanted = Callable[[], bool]
"""Whether a client still waits for what a thread prepares."""

_LARGE_BYTES = 256 << 10
_THREADS = 2
_ROUNDS = 4
"""How often one request is prepared: it has two grammars at most, and each is tried before what it is part of goes on."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what is taken on: `requests` are read or prepared at once."""

    bodies: BodyLimits
    patience: Patience
    requests: int


class _Threads:
    """A fixed number of threads. A request waits for one here, and leaves nothing in a queue when it gives up."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = prompt_threads(count, name)
        self._turns = Turns(count)

    async def start(self, work: Callable[[], T], tenant: Tenant) -> Future[T]:
        """Return the future of `work`, which a thread begins at once, when it is the turn of `tenant`."""
        await self._turns.acquire(tenant)
        running: Future[T] = Future()
        given = [running]

        def run() -> None:
            future = given.pop()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                    _let_go(error)
                    future.set_exception(error)
            # An error refers to this frame: it must not refer to the error in turn, which would keep what the body was.
            del future

        # The thread is free when it has taken the entry from its queue, also one that was given up in between.
        _after(self._pool.submit(run), self._turns.release)
        return running


def _let_go(error: BaseException | None) -> None:
    """Empty the frames that `error` and what led to it went through: they hold the body and what was made of it."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _after(running: Future[T], then: Callable[[], object]) -> None:
    """Call `then` in the event loop once `running` has ended, in whatever way."""
    loop = asyncio.get_running_loop()

    def ended(_running: Future[T]) -> None:
        # The loop is closed only when the process ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(then)

    running.add_done_callback(ended)


class Intake:
    """Takes requests on."""

    def __init__(self, limits: IntakeLimits) -> None:
        """Start the threads."""
        self.limits = limits
        self.latest_deadline = 0.0
        """No request that was taken on may run longer (monotonic, in seconds); a drain ends then."""
        self.latest_arrival = 0.0
        """When the latest request came (monotonic, in seconds)."""
        self._bodies = BodyReader(limits.bodies)
        self._taken = 0
        self._small = _Threads(_THREADS, "prompt")
        self._large = _Threads(1, "long-prompt")
        self._trials = _Threads(1, "trial")
        """Grammars are tried one after the other, and hold up no request that has none."""

    def deadline(self, request: Request) -> Deadline:
        """Return when the time of `request`, which has just come, is over; raises `ApiError`."""
        self.latest_arrival = time.monotonic()
        account_of(request).batch = is_batch(request.headers)
        deadline = deadline_of(request.headers, self.latest_arrival, self.limits.patience)
        self.latest_deadline = max(self.latest_deadline, deadline.answer)
        return deadline

    async def prepare(self, request: Request, deadline: float, work: Callable[[bytes, Wanted], T]) -> T:
        """Return what `work` makes of the body, in a thread; raises `ApiError`, and `ClientGoneError`."""
        with ExitStack() as place:
            place.enter_context(self._counted())
            body = place.enter_context(self._bodies.holding())
            try:
                async with asyncio.timeout_at(deadline):
                    await self._bodies.read(request, body)
                    return await self._in_thread(request, place, body, work)
            except TimeoutError as error:
                message = "the time allowed for the request was over before its prompt was tokenized"
                raise timed_out(message) from error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count one request that is read or prepared; raises `ApiError` when there are as many as there may be."""
        if self._taken >= self.limits.requests:
            raise not_started(f"{self._taken} requests are being read already; try again in 1 s", "queue_full")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _in_thread(
        self, request: Request, place: ExitStack, body: bytearray, work: Callable[[bytes, Wanted], T]
    ) -> T:
        """Return what `work` makes of `body`. A thread that goes on after its client has left keeps `place` until it ends."""
        gone, tenant = threading.Event(), tenant_of(request.headers)
        threads = self._large if len(body) > _LARGE_BYTES else self._small
        begun: list[Future[Any]] = []

        async def turn() -> T:
            for _ in range(_ROUNDS):
                begun.append(await threads.start(lambda: work(bytes(body), lambda: not gone.is_set()), tenant))
                try:
                    return await asyncio.wrap_future(begun[-1])
                except UntriedError as untried:
                    run = untried.run
                begun.append(await self._trials.start(run, tenant))
                await asyncio.wrap_future(begun[-1])
            raise not_started("other schemas are tried; try again in 1 s", "queue_full")

        try:
            return await unless_gone(request, turn())
        finally:
            gone.set()
            for running in begun:
                if not running.done() and not running.cancel():
                    _after(running, place.pop_all().close)
            begun.clear()
