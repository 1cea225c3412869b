"""The versions that the gate is tried on: shares of slow and of failed requests, from log-normal latencies."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LIMIT_MS = 600.0
MAX_ERRORS = 0.01
SIGMA = 0.6
"""Of the logarithm of a latency: the mean of a request is then 0.45 of its 95th percentile."""
RATES = (1, 2, 10, 40, 200, 1000, 5000)
"""Requests a second of the whole pool."""
_Z95 = NormalDist().inv_cdf(0.95)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One version: the shares of its requests that are slower than the limit, and that fail."""

    name: str
    slow: float
    failed: float


def slow_share(p95: float, factor: float = 1.0) -> float:
    """Return the share of requests above the limit where the 95th percentile is `p95` ms, each `factor` times as slow."""
    return 1 - NormalDist().cdf(_Z95 + log(LIMIT_MS / (p95 * factor)) / SIGMA)


def slow_shares(p95: float, factors: Floats) -> Floats:
    """Return `slow_share` for many factors, by table."""
    logs = np.linspace(-3.0, 9.0, 6001)
    return np.interp(np.log(factors), logs, [slow_share(p95, float(np.exp(value))) for value in logs])


GOOD = Scenario("good: p95 500, errors 0.2 %", slow_share(500), 0.002)
NEAR_P95 = 570
NEAR = Scenario(f"near: p95 {NEAR_P95}, errors 0.5 %", slow_share(NEAR_P95), 0.005)
LIMIT = Scenario("on the limit: p95 600, errors 1 %", 0.05, MAX_ERRORS)
INSIDE = (GOOD, NEAR, LIMIT)
TWICE_SLOW = Scenario("twice the slow share", 0.10, 0.002)
TWICE_FAILED = Scenario("twice the errors", slow_share(500), 2 * MAX_ERRORS)
TWICE = (TWICE_SLOW, TWICE_FAILED)
SLOW = tuple(Scenario(f"p95 {p95}", slow_share(p95), 0.002) for p95 in (700, 800, 900, 1500))
FAILING = tuple(Scenario(f"errors {round(100 * share)} %", slow_share(500), share) for share in (0.03, 0.05, 0.20))
OUTSIDE = SLOW + FAILING
