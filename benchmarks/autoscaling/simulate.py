"""A pool of workers under a trace and a rule: slice-seconds, and requests that waited more than a second. Seeded by nothing: exact.

A worker takes its slice from the moment it is asked for until its last request has ended, and its first request a cold start later.
Requests wait in one queue and go to the worker with the fewest, as the gateway's least-request balancing gives them out at best.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.autoscaling.traces import Request, Trace

LATE_SECONDS: Final = 1.0
SLOTS: Final = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule sees."""

    now: float
    requests: int
    """That run or wait."""
    waiting: int
    """Of these, those that wait."""
    workers: int
    """Asked for, ready or not."""
    ready: int
    seconds: float | None
    """That a request takes in a worker, by those that have begun."""


Rule = Callable[[Seen], int]
"""Returns the number of workers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule cost, and what its clients had of it."""

    slice_seconds: float
    late: int
    requests: int
    changes: int = 0
    """How often the number of workers went up after it had gone down, or the other way round."""

    @property
    def late_percent(self) -> float:
        """Of all requests."""
        return 100.0 * self.late / max(1, self.requests)


@dataclass(slots=True, eq=False)
class _Worker:
    since: float
    ready_at: float
    running: int = 0
    leaving: bool = False


@dataclass(slots=True)
class _Pool:
    cold: float
    workers: list[_Worker] = field(default_factory=list)
    queue: deque[Request] = field(default_factory=deque)
    ends: list[tuple[float, int, _Worker]] = field(default_factory=list)
    cost: float = 0.0
    late: int = 0
    tie: int = 0
    busy: float = 0.0
    """Slot-seconds of the requests that have begun."""

    def staying(self) -> list[_Worker]:
        return [worker for worker in self.workers if not worker.leaving]

    def seen(self, now: float) -> Seen:
        staying = self.staying()
        ready = sum(worker.ready_at <= now for worker in staying)
        return Seen(
            now,
            len(self.ends) + len(self.queue),
            len(self.queue),
            len(staying),
            ready,
            self.busy / self.tie if self.tie else None,
        )

    def give(self, now: float) -> None:
        """Start what waits, as far as there are slots."""
        while self.queue:
            fit = [w for w in self.workers if not w.leaving and w.ready_at <= now and w.running < SLOTS]
            if not fit:
                return
            worker, request = min(fit, key=lambda w: w.running), self.queue.popleft()
            worker.running += 1
            self.late += now - request.at > LATE_SECONDS
            self.tie += 1
            self.busy += request.seconds
            heapq.heappush(self.ends, (now + request.seconds, self.tie, worker))

    def end(self, now: float) -> None:
        """Take the request that ends now off its worker."""
        worker = heapq.heappop(self.ends)[2]
        worker.running -= 1
        if worker.leaving and not worker.running:
            self.remove(worker, now)

    def remove(self, worker: _Worker, now: float) -> None:
        self.workers.remove(worker)
        self.cost += now - worker.since

    def scale(self, number: int, now: float) -> None:
        """Ask for that many workers. Those that start go first, then the emptiest."""
        staying = self.staying()
        for _ in range(number - len(staying)):
            self.workers.append(_Worker(now, now + self.cold))
        order = sorted(staying, key=lambda w: (w.ready_at <= now, w.running, -w.since))
        for worker in order[: max(0, len(staying) - number)]:
            worker.leaving = True
            if not worker.running:
                self.remove(worker, now)


def simulate(trace: Trace, rule: Rule, *, cold: float, every: float, least: int = 1) -> Outcome:
    """Play `trace` under `rule`, which is asked each `every` seconds. The pool begins with `least` ready workers."""
    pool = _Pool(cold)
    pool.workers = [_Worker(0.0, 0.0) for _ in range(least)]
    arrivals, tick, step = deque(trace.requests), 0.0, 0
    last = max((request.at for request in trace.requests), default=0.0)
    changes, way, before, now = 0, 0, least, 0.0
    while arrivals or pool.queue or pool.ends:
        starts = min((w.ready_at for w in pool.workers if not w.leaving and w.ready_at > now), default=float("inf"))
        ended = pool.ends[0][0] if pool.ends else float("inf")
        came = arrivals[0].at if arrivals else float("inf")
        now = min(tick, starts, ended, came)
        if now == ended:
            pool.end(now)
        elif now == came:
            pool.queue.append(arrivals.popleft())
        elif now == tick:
            number = rule(pool.seen(now))
            direction = (number > before) - (number < before)
            changes += bool(direction) and direction == -way
            way, before = direction or way, number
            pool.scale(number, now)
            step += 1
            tick = step * every
        pool.give(now)
    for worker in list(pool.workers):
        pool.remove(worker, max(now, last))
    return Outcome(pool.cost, pool.late, len(trace.requests), changes)


def optimum(trace: Trace, *, cold: float, least: int = 1) -> Outcome:
    """Return what a clairvoyant pays that lets no request wait: the k-th worker is there while more than (k - 1) × slots requests run.

    It starts each a cold start before, and keeps it over a gap that is shorter than that. Requests move between workers freely, so no
    real rule reaches it.
    """
    events = sorted([(request.at, 1) for request in trace.requests] + [(r.at + r.seconds, -1) for r in trace.requests])
    end = max((when for when, _ in events), default=0.0)
    cost, running = least * end, 0
    up: dict[int, float] = {}
    down: dict[int, float] = {}
    for when, change in events:
        before, running = -(-running // SLOTS), running + change
        after = -(-running // SLOTS)
        if after > before and after > least:
            fresh = after not in down or when - down[after] > cold
            cost += min(cold, when) if fresh else when - down[after]
            up[after] = when
        elif after < before and before > least:
            cost += when - up[before]
            down[before] = when
    return Outcome(cost, 0, len(trace.requests))
