"""From a connection to tokens, within bounds: of time, of bytes, and of what is prepared at once.

Parsing, rendering and tokenizing happen in threads of their own, so that no body and no text holds up the event loop;
large bodies have one thread to themselves, so that a short question does not wait for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from slicewise_worker.engine.threads import prompt_threads
from slicewise_worker.http.answer import unless_gone
from slicewise_worker.http.body import BodyLimits, BodyReader
from slicewise_worker.http.deadline import Patience, deadline_of, timed_out
from slicewise_worker.http.errors import not_started

T = TypeVar("T")
Wanted = Callable[[], bool]
"""Whether somebody still waits for what a thread prepares."""

_LARGE_BYTES = 256 << 10
_THREADS = 2


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of what is taken on: `requests` are read or prepared at once."""

    bodies: BodyLimits
    patience: Patience
    requests: int


class Intake:
    """Takes requests on."""

    def __init__(self, limits: IntakeLimits) -> None:
        """Start the threads."""
        self.limits = limits
        self.latest_deadline = 0.0
        """No request that was taken on may run longer (monotonic, in seconds); a drain ends then."""
        self._bodies = BodyReader(limits.bodies)
        self._taken = 0
        self._small = prompt_threads(_THREADS, "prompt")
        self._large = prompt_threads(1, "long-prompt")

    def deadline(self, request: Request) -> float:
        """Return when the time of `request`, which has just come, is over; raises `ApiError`."""
        deadline = deadline_of(request.headers, time.monotonic(), self.limits.patience)
        self.latest_deadline = max(self.latest_deadline, deadline)
        return deadline

    async def prepare(self, request: Request, deadline: float, work: Callable[[bytes, Wanted], T]) -> T:
        """Return what `work` makes of the body, in a thread; raises `ApiError`, and `ClientGoneError`."""
        if self._taken >= self.limits.requests:
            raise not_started(f"{self._taken} requests are being read already; try again in 1 s", "queue_full")
        self._taken += 1
        try:
            async with asyncio.timeout_at(deadline):
                with self._bodies.holding() as body:
                    await self._bodies.read(request, body)
                    return await unless_gone(request, self._in_thread(body, work))
        except TimeoutError as error:
            raise timed_out("the time allowed for the request was over before its prompt was tokenized") from error
        finally:
            self._taken -= 1

    async def _in_thread(self, body: bytearray, work: Callable[[bytes, Wanted], T]) -> T:
        gone = threading.Event()
        pool = self._large if len(body) > _LARGE_BYTES else self._small
        try:
            return await asyncio.get_running_loop().run_in_executor(
                pool, lambda: work(bytes(body), lambda: not gone.is_set())
            )
        finally:
            gone.set()
