"""The bridge between the engine's thread and asyncio: one `Answer` per HTTP request, with one or more choices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar

from starlette.requests import Request

from slicewise_worker.engine.callers import NO_TENANT, Caller
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import (
    Broken,
    BusyError,
    Event,
    Finished,
    Generation,
    Piece,
    StoppedError,
    Times,
)
from slicewise_worker.http.deadline import timed_out
from slicewise_worker.http.errors import ApiError, not_started

T = TypeVar("T")


def deliver_into(loop: asyncio.AbstractEventLoop) -> Callable[[list[tuple[Any, Any]]], None]:
    """Return the engine's `notify`: it hands the events over in `loop`, those of many steps at once when the loop is late.

    One wake-up at a time: asyncio wakes a loop through a socket that holds about 280 of them, and a signal that finds it
    full is lost, SIGTERM too.
    """
    lock = threading.Lock()
    waiting: list[tuple[Any, Any]] = []

    def dispatch() -> None:
        with lock:
            events = waiting.copy()
            waiting.clear()
        for ticket, event in events:
            ticket.on_event(event)

    def notify(events: list[tuple[Any, Any]]) -> None:
        with lock:
            woken = bool(waiting)
            waiting.extend(events)
        # The loop is closed only when the process ends, and then no client waits for events.
        if not woken:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(dispatch)

    return notify


def broken(event: Broken) -> ApiError:
    """Return the error that a client sees when its generation broke; a retry elsewhere may help where a worker is full or shuts down."""
    if event.code == "timeout":
        return timed_out(event.message)
    if event.code == "queue_full":
        return not_started(event.message, event.code, event.retry_after)
    status = {"constraint_failed": 400, "engine_failed": 500, "shutting_down": 503}[event.code]
    return ApiError(status, event.message, code=event.code, retry_after=1 if status == 503 else 0)


def _joined(before: Piece | Finished, event: Piece | Finished) -> Piece | Finished:
    return replace(event, text=before.text + event.text, chances=before.chances + event.chances)


class ClientGoneError(Exception):
    """The client closed the connection, so the answer has no reader."""


class Answer:
    """The generations of one request, as they come."""

    def __init__(
        self,
        engine: Engine,
        generations: Sequence[Generation],
        prompt_tokens: int,
        deadline: float,
        caller: Caller = NO_TENANT,
    ) -> None:
        """Submit `generations` of `caller`, all or none; raises `ApiError` when the worker takes no more.

        `deadline` is monotonic, in seconds. `prompt_tokens` is what `usage` reports: a prompt that several choices share counts once.
        """
        self._engine = engine
        self._pending: dict[int, Piece | Finished] = {}
        self._broken: Broken | None = None
        self._come = asyncio.Event()
        self._quiet = False
        self._quiet_at = 0.0
        self._clock: asyncio.TimerHandle | None = None
        self._open = len(generations)
        self.prompt_tokens = prompt_tokens
        self.generated = [0] * len(generations)
        self.reasons: list[str] = []
        """Why the choices that are whole ended."""
        self.code: str | None = None
        """Of the error that it broke off with."""
        sinks = [partial(self._put, index) for index in range(len(generations))]
        try:
            self._tickets = dict(enumerate(engine.submit(generations, sinks, deadline, caller)))
        except BusyError as error:
            raise not_started(str(error), error.code, error.retry_after) from error
        except StoppedError as error:
            raise not_started(str(error), "shutting_down") from error
        self.times = [ticket.times for ticket in self._tickets.values()]
        self._of_prompts = _by_prompt(generations, self.times)

    def _put(self, index: int, event: Event) -> None:
        """What the client has not been sent yet becomes one event a choice: a late loop has no backlog to work off."""
        if not isinstance(event, Piece):
            # Its prompt goes now, not when a client that reads slowly has read the end.
            self._tickets.pop(index, None)
        if isinstance(event, Broken):
            self._broken = event
        else:
            before = self._pending.get(index)
            self._pending[index] = event if before is None else _joined(before, event)
        self._come.set()

    async def next(self) -> tuple[int, Piece | Finished] | None:
        """Return the next event and its choice, None after the last; raises `ApiError` when a choice broke."""
        if not self._open:
            return None
        while not self._pending:
            if self._broken is not None:
                self._open, self.code = 0, self._broken.code
                raise broken(self._broken)
            self._come.clear()
            await self._come.wait()
        index = next(iter(self._pending))
        event = self._pending.pop(index)
        self.generated[index] = event.generated
        if isinstance(event, Finished):
            self._open -= 1
            self.reasons.append(event.reason)
        return index, event

    async def next_within(self, seconds: float) -> tuple[int, Piece | Finished] | Literal["quiet"] | None:
        """Return as `next` does, or that nothing came for so long.

        One timer for a whole answer: one for each event would take a quarter of the time that a stream takes.
        """
        loop = asyncio.get_running_loop()
        self._quiet, self._quiet_at = False, loop.time() + seconds
        if self._clock is None:
            self._clock = loop.call_at(self._quiet_at, self._look)
        while self._open and not self._pending and self._broken is None:
            if self._quiet:
                return "quiet"
            self._come.clear()
            await self._come.wait()
        return await self.next()

    def _look(self) -> None:
        """See whether nothing came for as long as `next_within` waits, or look again when that may be so."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_at:
            self._clock = loop.call_at(self._quiet_at, self._look)
            return
        self._clock, self._quiet = None, True
        self._come.set()

    def close(self) -> None:
        """Give up what still runs; without effect on what has ended."""
        if self._clock is not None:
            self._clock.cancel()
        self._engine.cancel([*self._tickets.values()])

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompts that were in the cache; of a prompt that several choices share, what none of them had to read."""
        return sum(min(one.cached for one in times) for times in self._of_prompts)

    def usage(self) -> dict[str, Any]:
        """Return OpenAI's `usage`."""
        generated = sum(self.generated)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": generated,
            "total_tokens": self.prompt_tokens + generated,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


def _by_prompt(generations: Sequence[Generation], times: Sequence[Times]) -> list[list[Times]]:
    """Return the `times` of those that share a prompt together."""
    found: dict[int, list[Times]] = {}
    for generation, one in zip(generations, times, strict=True):
        found.setdefault(id(generation.prompt), []).append(one)
    return [*found.values()]


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Return the result of `work`; raises `ClientGoneError` and cancels it when the client leaves first.

    The body of `request` has been read.
    """
    watch = asyncio.ensure_future(_gone(request))
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((watch, task), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for future in (watch, task):
            future.cancel()
        await asyncio.gather(watch, task, return_exceptions=True)
