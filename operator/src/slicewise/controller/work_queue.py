"""Wake flags: which pools want a pass, level-triggered. No task a pool; a flag costs nothing while it is down.

A pool that is woken while its pass runs gets another pass after it. A pool that has failed waits out its back-off; events
during it are remembered by the flag, not acted on. Time comes in as an argument of the clock given at the start.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from slicewise.cluster.cache import Key


class WorkQueue:
    """Flags, timers, and the passes that run. Of one event loop."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ready: dict[Key, None] = {}
        """Pools whose flag is up, in the order to serve."""
        self._first: dict[Key, None] = {}
        """Those among them that somebody waits for."""
        self._running: dict[Key, float] = {}
        self._again: dict[Key, bool] = {}
        """Pools woken while their pass runs → whether urgently."""
        self._held: dict[Key, float] = {}
        """Pools in back-off → until when."""
        self._due: dict[Key, float] = {}
        self._timers: list[tuple[float, Key]] = []
        self._open = False
        self._changed = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def wake(self, key: Key, *, urgent: bool = False) -> None:
        """Raise the flag of a pool. `urgent`: the user has written something new, so it comes first, and its back-off ends."""
        if urgent:
            self._held.pop(key, None)
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
        elif key in self._held:
            self._at(key, self._held[key])
        else:
            self._ready[key] = None
            if urgent:
                self._first[key] = None
            self._changed.set()

    def forget(self, key: Key) -> None:
        """Drop the timers of a pool that is gone."""
        self._due.pop(key, None)
        self._held.pop(key, None)

    def gate(self, is_open: bool) -> None:
        """Let passes begin, or let no more begin; flags go on being raised."""
        self._open = is_open
        self._changed.set()

    async def take(self) -> Key:
        """Wait for a pool whose flag is up while the gate is open, lower it, and mark its pass as running."""
        while True:
            self._fire()
            if self._ready and self._open:
                key = next(iter(self._first or self._ready))
                self._first.pop(key, None)
                del self._ready[key]
                self._running[key] = self._monotonic()
                self._quiet.clear()
                return key
            self._changed.clear()
            timeout = max(0.0, self._timers[0][0] - self._monotonic()) if self._timers else None
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key, *, after: float | None, hold: bool = False) -> None:
        """End the pass of a pool. `after`: seconds until the next without an event; `hold`: events do not shorten it."""
        del self._running[key]
        if not self._running:
            self._quiet.set()
        again = self._again.pop(key, None)
        self._due.pop(key, None)
        self._held.pop(key, None)
        if after is not None:
            when = self._monotonic() + after
            if hold:
                self._held[key] = when
            self._at(key, when)
        if again is not None:
            self.wake(key, urgent=again)
        self._changed.set()

    async def quiet(self) -> None:
        """Wait until no pass runs."""
        await self._quiet.wait()

    def longest_pass(self) -> float:
        """Return for how many seconds the longest of the running passes has been running."""
        now = self._monotonic()
        return now - min(self._running.values(), default=now)

    @property
    def waiting(self) -> int:
        """How many pools are to have a pass now: flags that are up, timers that are due."""
        now = self._monotonic()
        return len({*self._ready, *(key for key, when in self._due.items() if when <= now)})

    @property
    def running(self) -> int:
        """How many passes run."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether no flag is up and no pass runs."""
        return not self._ready and not self._running

    def _at(self, key: Key, when: float) -> None:
        if when < self._due.get(key, float("inf")):
            self._due[key] = when
            heapq.heappush(self._timers, (when, key))
            self._changed.set()

    def _fire(self) -> None:
        now = self._monotonic()
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            if self._due.get(key) != when:
                continue  # replaced by another time
            del self._due[key]
            self._held.pop(key, None)
            self.wake(key)
