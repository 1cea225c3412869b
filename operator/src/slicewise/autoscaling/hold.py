"""The hold: how long a pool keeps the most workers that its load asked for, and how much room it has spare. Pure.

With less than ten minutes of history it is max(30 s, 5 × the cold start), with the most spare room. After that both are those that
would have cost least over the latest hour, at most. A worker that is there costs its time. A request that would have found all
sequences busy costs `LATE_COSTS` cold starts of a worker. So a load that comes back within minutes keeps its workers, one that comes
back after ten minutes does not, and one that goes up and down within what the workers carry is followed closely.

No hold of the choice is longer than 300 s, which is what the HorizontalPodAutoscaler waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from slicewise.autoscaling.target import MOST_SPARE, SPARES, Target

SHORTEST_HOLD: Final = 30.0
LONGEST_HOLD: Final = 600.0
HOLD_COLD_STARTS: Final = 5.0
UNKNOWN_COLD_START: Final = 60.0
"""Seconds taken for a cold start that no worker has shown yet."""
QUICK_START: Final = 60.0
"""Longest cold start, in seconds, with which less spare room may do: what comes by chance is over before a slower worker serves."""
LATE_COSTS: Final = 100.0
"""Cold starts of one worker that a target's worth of late requests is taken to cost. Chosen by `make bench-autoscaling`."""
BUCKET_SECONDS: Final = 10.0
"""Seconds that one entry of the history stands for."""
MOST_BUCKETS: Final = 360
LEAST_BUCKETS: Final = 60
"""Of history before it is gone by."""
CHOICES: Final = (30.0, 60.0, 100.0, 150.0, 200.0, 300.0)


@dataclass(frozen=True, slots=True)
class Hold:
    """How a pool is held."""

    seconds: float
    spare: float
    """Room beside the requests, in their standard deviations (`Target.workers`)."""


@lru_cache(maxsize=512)
def choose_hold(history: tuple[int, ...], target: Target, cold_start: float | None) -> Hold:
    """Return the hold.

    `history`: the most requests of each bucket, the oldest first; `cold_start`: seconds, None where none was measured.
    """
    cold = UNKNOWN_COLD_START if cold_start is None else cold_start
    if len(history) < LEAST_BUCKETS:
        return Hold(min(LONGEST_HOLD, max(SHORTEST_HOLD, HOLD_COLD_STARTS * cold)), MOST_SPARE)
    spares = SPARES if target.sequences is not None and cold <= QUICK_START else (MOST_SPARE,)
    choices = [Hold(seconds, spare) for seconds in CHOICES for spare in spares]
    return min(choices, key=lambda hold: (_cost(history, target, hold, cold), hold.seconds, hold.spare))


def _cost(history: Sequence[int], target: Target, hold: Hold, cold: float) -> float:
    """Return slice-seconds."""
    # One bucket less: a load that comes back just as the hold ends is in the bucket behind it.
    buckets = max(1, round(hold.seconds / BUCKET_SECONDS) - 1)
    there = _held([target.workers(requests, hold.spare) for requests in history], buckets)
    # At a rise only the workers of before it are there; each takes as many as it decodes together.
    late = sum(
        max(0.0, requests - count * target.carried) / target.each
        for requests, count in zip(history[1:], there, strict=False)
    )
    return BUCKET_SECONDS * sum(there) + LATE_COSTS * cold * late


def _held(wanted: Sequence[int], buckets: int) -> list[int]:
    """Return the greatest of each entry and the `buckets` before it."""
    found, peaks = [], deque[tuple[int, int]]()
    for index, count in enumerate(wanted):
        while peaks and peaks[-1][1] <= count:
            peaks.pop()
        peaks.append((index, count))
        while peaks[0][0] < index - buckets:
            peaks.popleft()
        found.append(peaks[0][1])
    return found
