"""A thread that carries out one step after the other for those who wait, and what it says of itself: what all engines have in common."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.pace import Asked, Pace, retry_after, too_late
from slicewise_worker.engine.report import Observer
from slicewise_worker.engine.request import Broken, Limits, QueueFullError, StoppedError, TooLateError
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST, FairQueue, Waits

log = structlog.get_logger(__name__)

T = TypeVar("T", bound=Waits)

_FAILURES_IN_A_ROW: Final = 3


@dataclass(frozen=True)
class Shortage(Generic[T]):
    """What a new request lacks in the queue: `needed` (0 or less: nothing) for the `more` that it holds.

    `size` is what another one holds of it.
    """

    what: str
    more: int
    needed: int
    size: Callable[[T], int]


class StepThread(ABC, Generic[T]):
    """Runs `_turn` while there is work; a failure of it ends the engine for good. `T` is what waits for its turn."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.observer: Observer | None = None
        """Set once what the engine does counts; the work that proves it at the start does not."""
        self._changed = threading.Condition()
        """Held by whoever reads or writes what several threads see."""
        self._waiting: FairQueue[T] = FairQueue()
        self._removed: list[T] = []
        """Who made room for others, and has not been told yet."""
        self._steps = 0
        self._failures = 0
        self._pace = Pace(limits.sequences)
        self._since = time.monotonic()
        self._stopping = False
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @abstractmethod
    def _load(self) -> int:
        """Return how many wait or run."""

    @abstractmethod
    def _begins_at_once(self, tenant: Tenant) -> bool:
        """Whether a new request of `tenant` waits for none; with `_changed` held."""

    @abstractmethod
    def _asked(self, entry: T) -> Asked:
        """Return what one who waits still asks for."""

    @abstractmethod
    def _turn(self) -> None:
        """Carry out one step."""

    @abstractmethod
    def _end(self, entry: T, broken: Broken) -> None:
        """Tell one who waited that nothing comes."""

    @abstractmethod
    def _break_all(self, broken: Broken) -> None:
        """Tell everybody who still waits that nothing more comes."""

    @abstractmethod
    def _close(self) -> None:
        """Free what the thread used, after its end."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread as soon as it can; what still runs ends with `Broken`. Frees the context."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._close()

    def _check_taking(self) -> None:
        """Raise `StoppedError` when no more work is taken."""
        if self._stopping or self._failed:
            raise StoppedError(self._failed or "the worker is shutting down")

    def _before(self, tenant: Tenant) -> list[Asked]:
        """Return what would begin before a new request of `tenant`; with `_changed` held."""
        if self._begins_at_once(tenant):
            return []
        return [self._asked(entry) for entry in self._waiting.before(tenant, self._cost)]

    def _cost(self, entry: T) -> float:
        asked = self._asked(entry)
        return PROMPT_COST * asked.prompt + ANSWER_COST * self._pace.answer_tokens(asked.answer)

    def _check_in_time(self, tenant: Tenant, tokens: int, left: float) -> None:
        """Raise `TooLateError` where a request with prompts of `tokens` cannot begin in the `left` seconds. With `_changed` held."""
        before = self._before(tenant)
        late = too_late(self._pace.wait(before), self._pace.reading(tokens), left)
        if late is not None:
            message = (
                f"the request has {late.left:.1f} s left, and by the measured rate the {len(before)} requests before it "
                f"take {late.wait:.1f} s"
            )
            raise TooLateError(message, late.retry_after)

    def _retry_after(self, tenant: Tenant) -> int:
        """Return when a client of `tenant` may come again: when what waits before it has begun. With `_changed` held."""
        return retry_after(self._pace.wait(self._before(tenant)))

    def _make_room(self, tenant: Tenant, *shortages: Shortage[T]) -> None:
        """End all `shortages` for a request of `tenant`; raises `QueueFullError` where no tenant has more waiting. With `_changed` held."""
        going: set[T] = set()
        for short in shortages:
            if short.needed > 0:
                found = self._waiting.to_remove(tenant, short.more, short.needed, short.size)
                if not found:
                    raise QueueFullError(f"{short.what} already", self._retry_after(tenant))
                going.update(found)
        if going:
            self._waiting.keep(lambda entry: entry not in going)
            self._removed += going

    def _tell_removed(self) -> None:
        """End those who made room; with `_changed` held."""
        for entry in self._removed:
            retry = self._retry_after(entry.tenant)
            message = f"the queue is full, and other tenants have less in it; try again in {retry} s"
            self._end(entry, Broken("queue_full", message, retry))
        self._removed.clear()

    def _stepped(self) -> None:
        """Note a step that went well."""
        self._failures = 0
        self._steps += 1

    def _step_failed(self, result: int) -> None:
        """Note a step that llama.cpp could not evaluate; raises when the next one could not be better."""
        self._failures += 1
        if result < -1 or self._failures >= _FAILURES_IN_A_ROW:
            raise RuntimeError(f"llama_decode returned {result} ({self._failures} failures in a row)")

    def _run(self) -> None:
        try:
            while self._await_work():
                self._turn()
        except Exception as error:
            log.exception("engine failed")
            with self._changed:
                self._failed = f"the engine failed: {error}"
        message = self._failed or "the worker is shutting down"
        self._break_all(Broken("engine_failed" if self._failed else "shutting_down", message))

    def _await_work(self) -> bool:
        with self._changed:
            while not (self._stopping or self._load()):
                self._changed.wait()
            return not self._stopping
