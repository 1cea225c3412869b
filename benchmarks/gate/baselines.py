"""Three plain rules to hold the gate against: at the end of the window, at each look, and in 5 of 12 looks (Flagger's way)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.gate.scenarios import MAX_ERRORS, Flags, Ints, Scenario

from slicewise.pool.rollout.gate import SLOW_ALLOWED

WINDOW = 60
EVERY = 5
CHECKS = 5


@dataclass(frozen=True, slots=True)
class Aborts:
    """Share of canaries that each rule aborts within the window; it promotes all others."""

    naive: float
    peeking: float
    five_of_twelve: float


def aborts(scenario: Scenario, rate: float, weight: float, canaries: int, draw: np.random.Generator) -> Aborts:
    """Return what the plain rule does with a version. An interval without a request breaks no limit."""
    looks = WINDOW // EVERY
    requests = draw.poisson(rate * weight * EVERY, (canaries, looks))
    slow, failed = draw.binomial(requests, scenario.slow), draw.binomial(requests, scenario.failed)
    each = _over(slow, failed, requests)
    so_far = _over(slow.cumsum(1), failed.cumsum(1), requests.cumsum(1))
    return Aborts(
        float(so_far[:, -1].mean()), float(so_far.any(axis=1).mean()), float((each.sum(axis=1) >= CHECKS).mean())
    )


def _over(slow: Ints, failed: Ints, requests: Ints) -> Flags:
    over: Flags = (slow > SLOW_ALLOWED * requests) | (failed > MAX_ERRORS * requests)
    return over
