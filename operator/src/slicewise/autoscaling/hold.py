"""The hold: how long a pool keeps the most workers that its load asked for. Pure.

With less than ten minutes of history it is max(30 s, 5 × the cold start). After that it is the one that would have cost least over the
latest hour, at most. A worker that is there costs its time. A request that would have found all sequences busy costs `LATE_COSTS` cold
starts of a worker. So a load that comes back within minutes keeps its workers, one that comes back after ten minutes does not, and one
that goes up and down within what the workers carry is followed closely.

No hold of the choice is longer than 300 s, which is what the HorizontalPodAutoscaler waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from slicewise.autoscaling.target import AUTO_USE, workers_for

SHORTEST_HOLD: Final = 30.0
LONGEST_HOLD: Final = 600.0
HOLD_COLD_STARTS: Final = 5.0
UNKNOWN_COLD_START: Final = 60.0
"""Seconds taken for a cold start that no worker has shown yet."""
LATE_COSTS: Final = 60.0
"""Cold starts of one worker that a target's worth of late requests is taken to cost. Chosen by `make bench-autoscaling`."""
BUCKET_SECONDS: Final = 10.0
"""Seconds that one entry of the history stands for."""
MOST_BUCKETS: Final = 360
LEAST_BUCKETS: Final = 60
"""Of history before it is gone by."""
CHOICES: Final = (30.0, 60.0, 100.0, 150.0, 200.0, 300.0)


@lru_cache(maxsize=512)
def choose_hold(history: tuple[int, ...], target: float, cold_start: float | None) -> float:
    """Return the hold in seconds.

    `history`: the most requests of each bucket, the oldest first; `target`: requests a worker; `cold_start`: seconds, None where none
    was measured.
    """
    cold = UNKNOWN_COLD_START if cold_start is None else cold_start
    if len(history) < LEAST_BUCKETS:
        return min(LONGEST_HOLD, max(SHORTEST_HOLD, HOLD_COLD_STARTS * cold))
    return min(CHOICES, key=lambda hold: (_cost(history, target, hold, cold), hold))


def _cost(history: Sequence[int], target: float, hold: float, cold: float) -> float:
    """Return slice-seconds."""
    # One bucket less: a load that comes back just as the hold ends is in the bucket behind it.
    buckets = max(1, round(hold / BUCKET_SECONDS) - 1)
    there = _held([workers_for(requests, target) for requests in history], buckets)
    # At a rise only the workers of before it are there; each carries its target and the rest of its sequences.
    late = sum(
        max(0.0, requests / target - count / AUTO_USE) for requests, count in zip(history[1:], there, strict=False)
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
