"""The window: what was read of a pool's load, and what a decision may look at of it. Pure; kept by the observing step.

A load is the number of requests that run or wait, from the gateway's and the workers' counts at one moment. A reading is complete
when no request can be missing in it. An incomplete one is a lower bound: it may add workers, and never removes one.

- A load counts once it has lasted: the smallest of the readings of the latest `LASTS_SECONDS`. So requests that clients cancel at once
  add no worker.
- Requests that wait count in full at first. The longer some have waited, the less: what piles up while workers start is a stock, and
  the workers for a steady flow of them are (requests a second) × (seconds that each takes). Without that a pool asks for several times
  the workers that it needs, the more the longer its cold start is.
- A gap longer than `STALE_SECONDS` between two readings begins the cover again, so a pool does not shrink by what was read before it.

Times are monotonic seconds, so a clock that is set changes nothing; a reading that is not later than the one before it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from slicewise.autoscaling.hold import BUCKET_SECONDS, LONGEST_HOLD, MOST_BUCKETS

LASTS_SECONDS: Final = 1.0
"""How long a load must last to count. Longer is a delay at each rise, shorter counts requests that are cancelled at once."""
STALE_SECONDS: Final = 5.0
"""After how long without a reading nothing is known of the load any more."""
FULL_COUNT: Final = 2.0
"""Requests that wait count in full for as many times the seconds that a request takes in a worker."""
NOT_COUNTED: Final = f"the requests were not counted for {STALE_SECONDS:g} s"
NOT_READ: Final = "the requests were not counted yet"


@dataclass(frozen=True, slots=True)
class Reading:
    """The load at one moment."""

    requests: int
    """That run or wait, at least."""
    waiting: int = 0
    """Of these, those that wait."""
    seconds: float | None = None
    """That a request takes in a worker, on average; None where it is not known, and then all that wait count in full."""
    trouble: str = ""
    """Why the reading is not complete, as a clause; empty where it is."""
    idle: bool = False
    """Whether it is certain that no request has come since the reading before."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a decision sees of the load."""

    requests: int | None = None
    """Requests that count; None: it is not known."""
    peaks: tuple[tuple[float, int], ...] = ()
    """(Seconds ago, requests): falling peaks, the oldest first, each greater than all that came after it."""
    covered: float = 0.0
    """Seconds over which every reading was complete, up to now."""
    history: tuple[int, ...] = ()
    """The most requests of each `BUCKET_SECONDS`, the oldest first."""
    trouble: str = NOT_READ
    """Why the load, or a part of it, is not known; empty where all is."""
    troubled: float = 0.0
    """Seconds since the load was last known as a whole."""
    latest: int = 0
    """Requests of the latest reading, whether they have lasted or not."""
    idle: float = 0.0
    """Seconds for which it is certain that no request came."""

    def peak(self, seconds: float) -> int:
        """Return the most requests of the latest `seconds`."""
        return max((requests for age, requests in self.peaks if age <= seconds), default=self.requests or 0)


@dataclass(frozen=True, slots=True)
class Window:
    """Readings of the latest time."""

    recent: tuple[tuple[float, int], ...] = ()
    """(When, requests) of `LASTS_SECONDS`, the oldest first."""
    peaks: tuple[tuple[float, int], ...] = ()
    """(When, requests that counted), falling."""
    history: tuple[int, ...] = ()
    bucket: tuple[int, int] | None = None
    """(Number, most requests) of the entry of the history that is under way."""
    waiting_since: float | None = None
    """Since when some requests have waited at every reading."""
    complete_since: float | None = None
    trouble: str = NOT_READ
    trouble_since: float | None = None
    idle_since: float | None = None

    def add(self, now: float, reading: Reading) -> Self:
        """Return the window with one more reading."""
        last = self._last()
        if last is not None and now <= last:
            return self
        gap = last is None or now - last > STALE_SECONDS
        waits = (now if gap or self.waiting_since is None else self.waiting_since) if reading.waiting > 0 else None
        requests = _counted(reading, 0.0 if waits is None else now - waits)
        recent = (*_since(() if gap else self.recent, now - LASTS_SECONDS), (now, requests))
        counted = min(count for _, count in recent)
        kept = [item for item in _since(self.peaks, now - LONGEST_HOLD) if item[1] > counted]
        history, bucket = self._bucketed(now, counted)
        complete = now if gap or self.complete_since is None else self.complete_since
        return replace(
            self,
            recent=recent,
            peaks=(*kept, (now, counted)),
            history=history,
            bucket=bucket,
            waiting_since=waits,
            complete_since=None if reading.trouble else complete,
            trouble=reading.trouble,
            trouble_since=self._trouble_since(now) if reading.trouble else None,
            idle_since=(now if gap or self.idle_since is None else self.idle_since) if reading.idle else None,
        )

    def add_nothing(self, now: float, trouble: str) -> Self:
        """Return the window after a reading that failed altogether."""
        since = self._trouble_since(now)
        return replace(self, complete_since=None, trouble=trouble, trouble_since=since, idle_since=None)

    def load(self, now: float) -> Load:
        """Return what a decision sees at `now`."""
        last = self._last()
        troubled = max(0.0, now - self._trouble_since(now))
        if last is None or not 0.0 <= now - last <= STALE_SECONDS:
            return Load(history=self.history, trouble=self.trouble or NOT_COUNTED, troubled=troubled)
        peaks = tuple((now - when, requests) for when, requests in self.peaks)
        covered = 0.0 if self.complete_since is None else now - self.complete_since
        idle = 0.0 if self.idle_since is None else now - self.idle_since
        troubled = troubled if self.trouble else 0.0
        return Load(self.peaks[-1][1], peaks, covered, self.history, self.trouble, troubled, self.recent[-1][1], idle)

    def _bucketed(self, now: float, counted: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        number = int(now // BUCKET_SECONDS)
        if self.bucket is None:
            return self.history, (number, counted)
        under_way, most = self.bucket
        if number == under_way:
            return self.history, (number, max(most, counted))
        # Of a time without readings nothing is known; it is taken to have been as before it.
        missed = min(MOST_BUCKETS, number - under_way - 1)
        return (*self.history, most, *(most,) * missed)[-MOST_BUCKETS:], (number, counted)

    def _trouble_since(self, now: float) -> float:
        if self.trouble_since is not None:
            return self.trouble_since
        last = self._last()
        return now if last is None else last

    def _last(self) -> float | None:
        return self.recent[-1][0] if self.recent else None


def _counted(reading: Reading, waited: float) -> int:
    requests = max(0, reading.requests)
    waiting = min(requests, max(0, reading.waiting))
    if not waiting or not reading.seconds or reading.seconds <= 0:
        return requests
    full = FULL_COUNT * reading.seconds
    return requests - waiting + round(waiting * min(1.0, full / max(full, waited)))


def _since(items: Iterable[tuple[float, int]], when: float) -> tuple[tuple[float, int], ...]:
    return tuple(item for item in items if item[0] >= when)
