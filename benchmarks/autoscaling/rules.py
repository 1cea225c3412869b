"""The rules that are compared: ours, that of the HorizontalPodAutoscaler with its defaults, and Knative's."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from benchmarks.autoscaling.simulate import SLOTS, Rule, Seen

from slicewise.autoscaling.decision import Bounds, decide
from slicewise.autoscaling.target import AUTO_USE, Target
from slicewise.autoscaling.window import Reading, Window

MOST: Final = 100
TARGET: Final = AUTO_USE * SLOTS
"""Requests a worker: 70 % of its slots. Ours has it while few requests run."""


def ours(cold: float) -> Rule:
    """Return our rule, with the product's own code, asked once a second."""
    window, before = Window(), 1
    bounds = Bounds(least=1, most=MOST, target=Target.auto(SLOTS), cold_start=cold)

    def rule(seen: Seen) -> int:
        nonlocal window, before
        window = window.add(seen.now, Reading(seen.requests, seen.waiting, seen.seconds))
        before = decide(bounds, window.load(seen.now), before).desired
        return before

    return rule


def hpa(_: float) -> Rule:
    """Return the HPA's rule with its defaults, asked each 15 s, on the average of requests a worker that are there at that moment.

    Tolerance 10 %; at most 4 workers or 100 % more in 15 s; down to the most that it wanted in 300 s.
    """
    wanted: deque[tuple[float, int]] = deque()

    def rule(seen: Seen) -> int:
        now = max(1, seen.workers)
        ratio = seen.requests / (TARGET * now)
        number = now if abs(ratio - 1.0) <= 0.1 else max(1, math.ceil(seen.requests / TARGET - 1e-9))
        wanted.append((seen.now, number))
        while wanted[0][0] < seen.now - 300.0:
            wanted.popleft()
        if number < now:
            return min(now, max(count for _, count in wanted))
        return min(number, max(now + 4, 2 * now), MOST)

    return rule


def knative(_: float) -> Rule:
    """Return Knative's rule with its defaults, asked each 2 s: a window of 60 s, one of 6 s for panic at twice the target, no delay."""
    samples: deque[tuple[float, int]] = deque()
    panic_since, panic_most = -math.inf, 0

    def rule(seen: Seen) -> int:
        nonlocal panic_since, panic_most
        samples.append((seen.now, seen.requests))
        while samples[0][0] <= seen.now - 60.0:
            samples.popleft()
        late = [count for when, count in samples if when > seen.now - 6.0]
        ready = max(1, seen.ready)
        stable = math.ceil(sum(count for _, count in samples) / len(samples) / TARGET - 1e-9)
        quick = math.ceil(sum(late) / len(late) / TARGET - 1e-9)
        if quick / ready >= 2.0:
            panic_since = seen.now
        panics = seen.now - panic_since < 60.0
        panic_most = max(panic_most, quick, seen.workers) if panics else 0
        number = max(panic_most, stable) if panics else stable
        return min(MOST, max(1, math.floor(ready / 2.0), number))

    return rule


RULES: Final[dict[str, tuple[Callable[[float], Rule], float]]] = {
    "ours": (ours, 1.0),
    "HPA": (hpa, 15.0),
    "Knative": (knative, 2.0),
}
"""Name → what makes the rule for a cold start, and how often it is asked, in seconds."""
