"""Which of a tenant's jobs takes its turn. Turns are fair between tenants, by ranks; priorities count within a tenant alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

HIGH: Final = 0
NORMAL: Final = 1
LOW: Final = 2
NAMES: Final[Mapping[str, int]] = {"high": HIGH, "normal": NORMAL, "low": LOW}
_EVERY: Final = 8
"""Of eight turns one is for low jobs and one for normal ones, so that none of them waits without end."""


def choose(turns: Iterable[int], waiting: Mapping[int, Iterable[int]]) -> list[int]:
    """Return the jobs that take these turns (ranks). `waiting`: priority → jobs, in the order in which they run."""
    left = {priority: deque(waiting.get(priority, ())) for priority in (HIGH, NORMAL, LOW)}
    chosen = []
    for turn in turns:
        first = {0: (LOW,), _EVERY // 2: (NORMAL,)}.get(turn % _EVERY, ())
        for priority in (*first, HIGH, NORMAL, LOW):
            if left[priority]:
                chosen.append(left[priority].popleft())
                break
    return chosen
