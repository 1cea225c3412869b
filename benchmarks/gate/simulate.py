"""Rollouts simulated second by second: Poisson traffic, a read a second, a share that grows, a stable version beside the canary.

The verdicts are those of `assess`, by the edges that it gave (chain.py) and the twin of its comparison (compare.py); a test plays the
same counts through `Tally` and `assess` themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from benchmarks.gate.chain import HORIZON, POLICY, edges
from benchmarks.gate.compare import log_mean, log_ratios, log_ratios_likelier
from benchmarks.gate.scenarios import Flags, Floats, Ints, Scenario

from slicewise.pool.rollout.evidence import ODDS
from slicewise.pool.rollout.gate import ERRORS, LATENCY, Policy, to_abort

Shares = Callable[[int], tuple[Floats, Floats, Floats, Floats]]
"""Second → canary's slow and failed, stable's slow and failed share, each (parts of the second, rollouts), or (1, 1) for all."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How the canary is run."""

    rate: float
    weight: float = 0.05
    highest_weight: float = 0.25
    """What one canary worker of four can carry."""
    window: int = 60
    deadline: int = 3600
    grow: bool = True
    horizon: int = HORIZON
    """Canary requests after which a rollout counts as undecided here."""


@dataclass(slots=True)
class Simulated:
    """What became of the rollouts: 1 passed, -1 aborted, 0 undecided; after how many seconds and canary requests."""

    verdict: Ints
    seconds: Ints
    requests: Ints

    def share(self, verdict: int) -> float:
        """Return the share of rollouts with a verdict."""
        return float((self.verdict == verdict).mean())

    def median(self, of: Ints, verdict: int) -> float:
        """Return the median of seconds or requests, rollouts with another verdict counting as infinite."""
        values = np.where(self.verdict == verdict, of, np.inf)
        return float(np.sort(values)[(len(values) - 1) // 2])


def steady(canary: Scenario, stable: Scenario) -> Shares:
    """Return shares that never change."""

    always = tuple(np.full((1, 1), share) for share in (canary.slow, canary.failed, stable.slow, stable.failed))

    def shares(_second: int) -> tuple[Floats, Floats, Floats, Floats]:
        return always[0], always[1], always[2], always[3]

    return shares


def simulate(
    shares: Shares,
    setting: Setting,
    policy: Policy,
    rollouts: int,
    draw: np.random.Generator,
    tell: Callable[[tuple[Ints, Ints]], None] = lambda _second: None,
) -> Simulated:
    """Play `rollouts` rollouts to their end; `tell` gets, each second, which are alive and their counts."""
    assert (policy.alpha, policy.tolerance, policy.max_errors) == (POLICY.alpha, POLICY.tolerance, POLICY.max_errors)
    slow, failed = edges("slow", setting.horizon), edges("failed", setting.horizon)
    simulated = Simulated(*(np.zeros(rollouts, np.int64) for _ in range(3)))
    alive, sums, weight = np.arange(rollouts), np.zeros((4, rollouts), np.int64), setting.weight
    comparison = _Comparison(rollouts, setting.deadline, policy) if policy.compare_with_stable else None
    for second in range(1, setting.deadline + 1):
        counts = _second(shares(second), setting.rate, weight, alive, draw)
        tell((alive, counts))
        sums[:, alive] += counts[:4]
        requests, bad_slow, bad_failed, others = sums[:, alive]
        at = np.minimum(requests, setting.horizon)
        over_slow, over_failed = bad_slow >= slow.aborts[at], bad_failed >= failed.aborts[at]
        if comparison:
            comparison.record(counts, alive, weight)
            over_slow &= comparison.confirms("slow", alive, over_slow) | (others == 0)
            over_failed &= comparison.confirms("failed", alive, over_failed) | (others == 0)
        fails = (over_slow | over_failed) & (requests > 0)
        passes = (bad_slow <= slow.passes[at]) & (bad_failed <= failed.passes[at]) & ~fails
        passes &= (requests >= policy.min_samples) & (second >= setting.window)
        over, known = fails | passes | (requests > setting.horizon), requests <= setting.horizon
        decided = alive[over]
        simulated.verdict[decided] = np.where(~known, 0, np.where(fails, -1, 1))[over]
        simulated.seconds[decided], simulated.requests[decided] = second, requests[over]
        alive = alive[~over]
        if alive.size == 0:
            break
        if setting.grow and second % setting.window == 0:
            weight = min(setting.highest_weight, 2 * weight)
    simulated.seconds[alive], simulated.requests[alive] = setting.deadline, sums[0, alive]
    return simulated


def _second(
    shares: tuple[Floats, Floats, Floats, Floats], rate: float, weight: float, alive: Ints, draw: np.random.Generator
) -> Ints:
    """Return (canary's requests, slow, failed, stable's requests, slow, failed) of one second, for each rollout that is alive."""
    mine = [values if values.shape[1] == 1 else values[:, alive] for values in shares]
    canary = _requests(rate * weight, mine[0], mine[1], len(alive), draw)
    return np.concatenate((canary, _requests(rate * (1 - weight), mine[2], mine[3], len(alive), draw)))


def _requests(rate: float, slow: Floats, failed: Floats, rollouts: int, draw: np.random.Generator) -> Ints:
    """Return (requests, slow, failed): the four kinds of requests of a Poisson stream are Poisson streams of their own."""
    parts = len(slow)
    kinds = (slow * failed, slow * (1 - failed), (1 - slow) * failed, (1 - slow) * (1 - failed))
    both, only_slow, only_failed, fine = (
        draw.poisson(rate / parts * kind, (parts, rollouts)).sum(axis=0) for kind in kinds
    )
    return np.stack((both + only_slow + only_failed + fine, both + only_slow, both + only_failed))


class _Comparison:
    """The comparison with stable, worked out only for rollouts that are over a limit: for all others it changes nothing."""

    _COLUMNS: Final = {"slow": (0, 1, 3, 4), "failed": (0, 2, 3, 5)}

    def __init__(self, rollouts: int, seconds: int, policy: Policy) -> None:
        self._needed = {"slow": log(to_abort(policy, LATENCY)), "failed": log(to_abort(policy, ERRORS))}
        self._weights: list[float] = []
        self._past, self._now = np.zeros((seconds, rollouts, 6), np.int16), 0
        self._done = {which: np.zeros(rollouts, np.int64) for which in self._COLUMNS}
        self._ratios = {which: np.zeros((rollouts, len(ODDS))) for which in self._COLUMNS}

    def record(self, counts: Ints, alive: Ints, weight: float) -> None:
        """Remember one second."""
        self._weights.append(weight)
        self._past[self._now, alive] = counts.T
        self._now += 1

    def confirms(self, which: str, alive: Ints, over: Flags) -> Flags:
        """Return for which of the rollouts that are `over` a limit the comparison says so too."""
        rows = alive[over]
        if rows.size == 0:
            return over
        # Most were over a limit a second ago and lack that second only; the others lack more.
        lately = self._done[which][rows] == self._now - 1
        self._catch_up(which, rows[lately])
        self._catch_up(which, rows[~lately])
        over = over.copy()
        over[over] = log_mean(self._ratios[which][rows]) >= self._needed[which]
        return over

    def _catch_up(self, which: str, rows: Ints) -> None:
        done = self._done[which]
        if rows.size == 0:
            return
        first = int(done[rows].min())
        past = self._past[first : self._now, rows][:, :, list(self._COLUMNS[which])].astype(np.int64)
        past[np.arange(first, self._now)[:, None] < done[rows]] = 0
        second, whose = np.nonzero(past[:, :, 1] + past[:, :, 3])
        quad = past[second, whose].T
        if which == "slow":
            found = log_ratios(quad[0], quad[1], quad[2], quad[3])
        else:
            found = np.zeros((len(whose), len(ODDS)))
            weights = np.array(self._weights[first:])[second]
            for weight in np.unique(weights):
                at = weights == weight
                found[at] = log_ratios_likelier(quad[1][at], quad[3][at], float(weight))
        np.add.at(self._ratios[which], rows[whose], found)
        done[rows] = self._now
