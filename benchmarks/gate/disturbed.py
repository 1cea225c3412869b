"""Latencies that are not independent: bursts, heavy tails, clusters and drift, shared by both versions or one version's own."""

from __future__ import annotations

import numpy as np
from benchmarks.gate.scenarios import NEAR, NEAR_P95, Floats, slow_shares
from benchmarks.gate.simulate import Shares

PARTS = 4
"""Parts of a second that have a share of their own."""
KINDS = ("slow for 20 s", "clustered", "heavy-tailed", "drifting")


def _factors(kind: str, seconds: int, rollouts: int, draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Return how many times as slow requests are, and how many times as often they fail: (part, rollout)."""
    parts = seconds * PARTS
    time = np.arange(parts)[:, None] / PARTS
    calm = np.ones((parts, rollouts))
    if kind == "slow for 20 s":
        start = draw.uniform(0, 40, rollouts)
        return np.where((time >= start) & (time < start + 20), 2.0, calm), calm
    if (
        kind == "clustered"
    ):  # long prompts come together: 8 s in 48 on average, three times as slow, ten times as many failures
        burst = np.zeros((parts, rollouts), bool)
        now = draw.random(rollouts) < 8 / 48
        for part in range(parts):
            turn = draw.random(rollouts) < np.where(now, 1 / 8, 1 / 40) / PARTS
            now = now ^ turn
            burst[part] = now
        return np.where(burst, 3.0, 1.0), np.where(burst, 10.0, 1.0)
    if kind == "heavy-tailed":  # each second as slow as a Pareto variable without a variance
        each = 0.7 * (1 + draw.pareto(1.5, (seconds, rollouts)))
        return np.repeat(each, PARTS, axis=0), np.repeat(np.minimum(each, 20.0), PARTS, axis=0)
    if kind == "drifting":  # twice as slow after five minutes
        return calm * (1 + time / 300), calm * (1 + time / 100)
    raise ValueError(kind)


def disturbed(kind: str, seconds: int, rollouts: int, draw: np.random.Generator, *, shared: bool) -> Shares:
    """Return the shares of two versions like `NEAR`, under one disturbance that both share, or under one each."""
    ours = _factors(kind, seconds, rollouts, draw)
    theirs = ours if shared else _factors(kind, seconds, rollouts, draw)
    slow, stable_slow = slow_shares(NEAR_P95, ours[0]), slow_shares(NEAR_P95, theirs[0])
    failed, stable_failed = (np.minimum(NEAR.failed * factors[1], 0.5) for factors in (ours, theirs))

    def shares(second: int) -> tuple[Floats, Floats, Floats, Floats]:
        here = slice((second - 1) * PARTS, second * PARTS)
        return slow[here], failed[here], stable_slow[here], stable_failed[here]

    return shares
