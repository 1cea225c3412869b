"""The work queue: which pools need reconciling. Level-triggered: a pool is queued or it is not, however many events came.

A pool that is added while it is being reconciled is reconciled once more afterwards. A pool that failed waits out its
back-off; events during that time are remembered and not acted on. The clock is given at the start.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from slicewise.cluster.cache import Key


class WorkQueue:
    """Queued pools, timers, and running reconciles. Used from one event loop."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ready: dict[Key, None] = {}
        """Queued pools, in the order in which they are served."""
        self._first: dict[Key, None] = {}
        """The urgent subset, served first."""
        self._running: dict[Key, float] = {}
        self._again: dict[Key, bool] = {}
        """Pools added while they are being reconciled → whether urgently."""
        self._held: dict[Key, float] = {}
        """Pools in back-off → until when."""
        self._due: dict[Key, float] = {}
        self._timers: list[tuple[float, Key]] = []
        self._open = False
        self._changed = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Queue a pool. `urgent`: the user has written something new, so it is served first and its back-off ends."""
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
        """Start or stop handing out pools; pools can be added either way."""
        self._open = is_open
        self._changed.set()

    async def get(self) -> Key:
        """Wait for a queued pool while the gate is open, take it out, and mark it as being reconciled."""
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
        """Mark a pool as reconciled. `after`: seconds until the next reconcile without an event; `hold`: events do not shorten it."""
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
            self.add(key, urgent=again)
        self._changed.set()

    async def quiet(self) -> None:
        """Wait until nothing is being reconciled."""
        await self._quiet.wait()

    def longest_reconcile(self) -> float:
        """Return for how many seconds the oldest running reconcile has been running."""
        now = self._monotonic()
        return now - min(self._running.values(), default=now)

    @property
    def waiting(self) -> int:
        """Number of pools that wait to be reconciled: queued ones, and those whose timer is due."""
        now = self._monotonic()
        return len({*self._ready, *(key for key, when in self._due.items() if when <= now)})

    @property
    def running(self) -> int:
        """Number of running reconciles."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is being reconciled."""
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
            self.add(key)
