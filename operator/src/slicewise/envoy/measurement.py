"""What a rollout is judged by: Envoy's own counters for each revision, subtracted between two reads. Pure.

A number that is not known is `NoData` with its reason, never 0.

"Slow" is a count, told at the limit itself: of a request that ended later (`late`), or was seen to run on beyond it (`crossed`).
Each such request is in both once it has ended, if Envoy looked in time; so the greater of the two is how many have been slow for
certain, and none is counted twice, neither when it ends after it was seen nor by another read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final


@dataclass(frozen=True, slots=True)
class NoData:
    """A number is not known, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one revision. In a reading since Envoy started, in an interval between two readings.

    What was tried again elsewhere counts once, with its last outcome. What Envoy answered before a worker was asked is in none.
    """

    tries: int = 0
    """Requests that the revision got, each try for itself, whether a worker could be asked or not."""
    retried: int = 0
    """Tries that were not the first one."""
    failed: int = 0
    """Requests that ended in an error, in time-out or in an answer that broke off."""
    refused: int = 0
    """Requests that a worker answered with a 4xx."""
    left: int = 0
    """Requests that the client left before the limit."""
    timed: int = 0
    """Requests of which it is known whether they were slow: answered before the limit, or over it."""
    slow: int = 0
    """Of these, the ones over the limit, whether they have ended or not."""
    jobs: int = 0
    """Requests by which dispatchers run jobs. They are in no count of latency: they wait behind those of clients."""
    jobs_ended: int = 0
    """Of these, the ones that have ended, with an answer or an error."""
    jobs_refused: int = 0
    """Of `refused`, those that ran jobs."""
    pending: int = 0
    """Requests that run at the moment and are over the limit. No sum over time."""

    @property
    def started(self) -> int:
        """Requests that the revision got."""
        return self.tries - self.retried

    @property
    def of_clients(self) -> int:
        """Of `started`, those that clients sent."""
        return max(0, self.started - self.jobs)

    @property
    def requests(self) -> int:
        """Requests that the revision got and that are not counted out: neither refused nor left by the client."""
        return self.started - self.refused - self.left

    def __add__(self, other: Counts) -> Counts:
        """Return both together, as for two gateway pods."""
        return _made([ours + theirs for ours, theirs in zip(_numbers(self), _numbers(other), strict=True)])

    def since(self, before: Counts) -> Counts | NoData:
        """Return what came after `before`, or why that cannot be told."""
        *deltas, _ = (now - then for now, then in zip(_numbers(self), _numbers(before), strict=True))
        return NoData("a counter went back") if min(deltas) < 0 else _made([*deltas, self.pending])


_numbers: Final[Callable[[Counts], tuple[int, ...]]] = attrgetter(*(field.name for field in fields(Counts)))


def _made(numbers: Iterable[int]) -> Counts:
    return Counts(*numbers)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one Envoy."""

    uptime: int
    """Seconds since Envoy started."""
    revisions: Mapping[str, Counts | NoData]


def between(before: Reading, after: Reading, revision: str) -> Counts | NoData:
    """Return what happened to a revision between two readings of the same pod, or why that cannot be told."""
    if after.uptime < before.uptime:
        return NoData("Envoy restarted in between")
    last = after.revisions.get(revision, NoData(f"Envoy knows no revision {revision}"))
    # A revision that came in between began at 0.
    first = before.revisions.get(revision, Counts())
    if isinstance(last, NoData):
        return last
    if isinstance(first, NoData):
        return first
    return last.since(first)
