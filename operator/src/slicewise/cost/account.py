"""The account of one pool: looks at what it holds in, sums of money and work out. No I/O; kept in the cache by the leader.

Two sums. `month` is of the calendar month (UTC) and is in the pool's status, so that the next leader goes on from there; `total` is
of this process, for Prometheus, whose counters begin at 0 with each process.

    time        passes by the monotonic clock; the wall clock says only which month it is
    a gap       (this process stood still, or no operator ran) is charged at the rate before it, for an hour at most; the rest is
                counted in seconds and charged at nothing
    a month     begins when the wall clock says so, and never ends because the clock was set back
    a worker    that was there before the first look counts from its first answer, every other one from 0
    no price    the worker's seconds are counted, and the rate of the pool is not known
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from slicewise.cost.budget import Budget
from slicewise.cost.month import month_start
from slicewise.cost.prices import summed
from slicewise.cost.published import Written
from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import Work, WorkerCounts, since

LOOK_SECONDS: Final = 30.0
"""Seconds between two looks. Who comes and goes between them is charged to within as much."""
LONGEST_STEP: Final = 300.0
"""Seconds between two looks over which what is held now is taken to have been held."""
LONGEST_GAP: Final = 3600.0
"""Seconds without a look that are charged."""
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Held:
    """A worker that holds what it costs, at a look: a slice, or the cores of the CPU fallback."""

    uid: str
    price: float | None
    """Of an hour; None where it is not known."""
    container: int = 0
    """Which container of it is ready; 0 for none."""
    counts: WorkerCounts | None = None
    """What it said; None where it did not answer, or is not ready."""
    fallback: bool = False
    """Whether it is of the CPU fallback, whose money is kept apart."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a pool holds at a look."""

    workers: Sequence[Held] = ()
    """Those on slices and those of the CPU fallback."""
    idle_after: float = 600.0
    """Seconds without work after which a pool that scales to zero would sleep."""

    @property
    def rate(self) -> float | None:
        """Money an hour; None where a part of it is not known."""
        return summed(worker.price for worker in self.workers)


@dataclass(slots=True)
class _Known:
    """What was read of one worker."""

    container: int
    counts: WorkerCounts | None
    """None: it was there before the account, and did not answer yet."""
    read_at: float
    """Monotonic seconds."""


@dataclass(slots=True, eq=False)
class Account:
    """Sums of one pool, and what the next look is compared with."""

    month: Sums = field(default_factory=Sums)
    total: Sums = field(default_factory=Sums)
    since: float = 0.0
    """When the month's sums began, seconds since the epoch: with the month, or in it with the first look of all."""
    rate: float | None = 0.0
    """Money an hour at the latest look; None where it is not known."""
    looked_at: float | None = None
    """Monotonic seconds."""
    written: Written | None = None
    """What the status has of it."""
    budget: Budget | None = None
    """Of the spec."""
    _workers: dict[str, _Known] = field(default_factory=dict)
    _silent: float = 0.0
    """Seconds for which it is certain that no worker did anything."""

    def resume(self, month: Sums, since: float, rate: float | None, written: float, now: float) -> None:
        """Go on from what was stored: sums since `since`, `rate` at `written`. Times in seconds since the epoch."""
        self.written = Written(written, rate, month.spend.total)
        begun = month_start(now)
        self.since = max(begun, since)
        if since >= begun:
            self.month = month
        gap = max(0.0, now - max(written, begun))
        self._charge_gap(gap, rate)

    def look(self, holding: Holding, now: float, wall: float) -> None:
        """Take in what the pool holds at `now` (monotonic) and `wall` (since the epoch), both in seconds."""
        first = self.looked_at is None
        step = 0.0 if self.looked_at is None else max(0.0, now - self.looked_at)
        self.looked_at = now
        self._turn_month(wall)
        if step > LONGEST_STEP:
            self._charge_gap(step, self.rate)
            step = 0.0
        self.rate = holding.rate
        self._add(self._step(holding, step, now, first=first))

    def _turn_month(self, wall: float) -> None:
        begun = month_start(wall)
        if self.since == 0.0:
            self.since = wall
        elif begun > self.since:
            self.month, self.since = Sums(), begun

    def _charge_gap(self, seconds: float, rate: float | None) -> None:
        charged = 0.0 if rate is None else min(seconds, LONGEST_GAP)
        money = charged * (rate or 0.0) / _HOUR
        self._add(Sums(Spend(assumed=money, uncounted_seconds=seconds - charged)))

    def _add(self, more: Sums) -> None:
        self.month += more
        self.total += more

    def _step(self, holding: Holding, step: float, now: float, *, first: bool) -> Sums:
        spend, work, silent = Spend(), Work(), bool(holding.workers)
        known: dict[str, _Known] = {}
        for worker in holding.workers:
            before = self._before(worker, now, first=first)
            known[worker.uid] = before
            done, busy = _done(worker, before, now)
            silent = silent and (not worker.container or (worker.counts is not None and not done and not busy))
            money = _money(worker, step, busy)
            spend += money
            if done is not None:
                work += done.paid_with(money.busy + money.fallback)
                spend += _paid(worker, done)
            if worker.counts is not None:
                before.counts, before.read_at = worker.counts, now
            elif not worker.container:
                before.read_at = now
        self._workers = known
        self._silent = self._silent + step if silent else 0.0
        if self._silent > holding.idle_after:
            spend += Spend(sleepable=spend.metered)
        return Sums(spend, work)

    def _before(self, worker: Held, now: float, *, first: bool) -> _Known:
        """Return what this look is compared with: another container of the same worker counts from 0 again."""
        before = self._workers.get(worker.uid)
        if before is not None and worker.container in {before.container, 0}:
            return before
        old = first and worker.container
        return _Known(worker.container, None if old else WorkerCounts(), now if before is None else before.read_at)


def _done(worker: Held, before: _Known, now: float) -> tuple[Work | None, float | None]:
    """Return the work since `before`, None for none; and the part of the time that was busy, None where it is not known."""
    if worker.counts is None or before.counts is None or not worker.container:
        return None, None
    work = worker.counts.since(before.counts)
    seconds, worked = now - before.read_at, since(worker.counts.busy_seconds, before.counts.busy_seconds)
    busy = min(1.0, worked / seconds) if seconds > 0 else 0.0
    return (work if work != Work() else None), busy


def _money(worker: Held, seconds: float, busy: float | None) -> Spend:
    if worker.price is None:
        return Spend(unpriced_seconds=seconds)
    money = worker.price * seconds / _HOUR
    if worker.fallback:
        worked = money * (busy or 0.0)
        return Spend(fallback=worked, fallback_idle=money - worked)
    if not worker.container:
        return Spend(starting=money)
    if busy is None:
        return Spend(unread=money)
    return Spend(busy=money * busy, idle=money * (1.0 - busy))


def _paid(worker: Held, work: Work) -> Spend:
    """Return the work as what money stands for; nothing where the worker's price is not known."""
    return Spend() if worker.price is None else Spend(paid_requests=work.answered, paid_tokens=work.computed)
