"""Rollouts simulated request by request: what Envoy would count of each, read once a second by the operator's meter, judged by the gate.

`simulate.py` has requests that end at once; here they take their time, so what ends early and what ends late, or never, do not come in
the order in which they began.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist
from typing import Final

import numpy as np
from benchmarks.gate.scenarios import SIGMA, Floats

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.cluster.meter import Meter
from slicewise.envoy.measurement import Counts, Reading
from slicewise.pool.rollout.gate import Policy, Verdict, assess
from slicewise.pool.rollout.tally import Tally

_Z95: Final = NormalDist().inv_cdf(0.95)
_AT_ONCE: Final = 0.01
_LOOK: Final = 0.05
_STABLE, _CANARY = "stable", "canary"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the requests of a version end."""

    p95: float = 0.5
    """Seconds."""
    failed: float = 0.0
    """Share that fails at once."""
    refused: float = 0.0
    """Share that is refused at once."""
    hangs: float = 0.0
    """Share that hangs, and fails after `hang_seconds`, or is left by the client then."""
    hang_seconds: float = 120.0
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How the canary is run."""

    rate: float
    weights: tuple[float, ...] = (0.05,)
    """Share of each step."""
    window: int = 60
    highest: float = 0.25
    limit: float = 0.6
    seconds: int = 900


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a rollout: how many requests the canary had by then, and how many seconds it took."""

    verdict: Verdict
    cause: str
    requests: int
    seconds: int


class _Version:
    """The requests of one version, by when they began and how they end."""

    def __init__(self, manner: Manner, limit: float, draw: np.random.Generator) -> None:
        self._manner, self._limit, self._draw = manner, limit, draw
        self._times: dict[str, list[Floats]] = {}
        self._sorted: dict[str, Floats] = {}

    def come(self, starts: Floats) -> None:
        """Take in requests that begin at these seconds."""
        how, limit = self._manner, self._limit
        kind = self._draw.random(len(starts))
        takes = np.exp(log(how.p95) + SIGMA * (self._draw.standard_normal(len(starts)) - _Z95))
        failed, refused = kind < how.failed, (kind >= how.failed) & (kind < how.failed + how.refused)
        hangs = kind > 1 - how.hangs
        takes[failed | refused] = _AT_ONCE
        takes[hangs] = how.hang_seconds
        broken = failed | (hangs & (not how.leaves))
        ends, late, seen = starts + takes, takes >= limit, takes >= limit + _LOOK
        found = {
            "tries": starts,
            "failed": ends[broken],
            "refused": ends[refused],
            "fast": ends[~late & ~refused],
            "late": ends[late],
            "gone": ends[seen],
            "crossed": starts[seen] + limit + _LOOK,
        }
        for name, times in found.items():
            self._times.setdefault(name, []).append(times)
        self._sorted = {name: np.sort(np.concatenate(times)) for name, times in self._times.items()}

    def counts(self, now: float) -> Counts:
        """Return what Envoy has counted by now."""
        by_now = {name: int(np.searchsorted(times, now, "right")) for name, times in self._sorted.items()}
        slow = max(by_now["late"], by_now["crossed"])
        return Counts(
            tries=by_now["tries"],
            failed=by_now["failed"],
            refused=by_now["refused"],
            timed=by_now["fast"] + slow,
            slow=slow,
            pending=max(0, by_now["crossed"] - by_now["gone"]),
        )


def play_requests(canary: Manner, stable: Manner, plan: Plan, policy: Policy, draw: np.random.Generator) -> Ended:
    """Play one rollout to its end, or for `plan.seconds`."""
    versions = {_CANARY: _Version(canary, plan.limit, draw), _STABLE: _Version(stable, plan.limit, draw)}
    step, weight, since, second, known, meter = 0, plan.weights[0], 0, 0, Tally(), Meter()
    # Stable has served for a while.
    _arrive(versions, -60, 60, plan.rate, 0.0, draw)
    _arrive(versions, 0, plan.window, plan.rate, weight, draw)
    while second < plan.seconds:
        status = _status(step, weight)
        meter.offer(status)
        said = Reading(second + 100, {name: version.counts(second) for name, version in versions.items()})
        meter.add({"gateway": said}, _STABLE, _CANARY, float(second), limit=plan.limit)
        measured = meter.offer(status)
        tally = known + measured.tally
        over = second - since >= plan.window
        found = assess(tally, policy, window_over=over, pending=measured.pending)
        if found.verdict is Verdict.FAIL or (found.verdict is Verdict.PASS and step + 1 == len(plan.weights)):
            return Ended(found.verdict, found.cause, _given(tally), second)
        if found.verdict is Verdict.PASS:
            step, since, known = step + 1, second, tally.at_next_step()
            weight = max(weight, plan.weights[step])
        second += 1
        if second % plan.window == 0:
            if over and len(plan.weights) == 1 and found.evidence.refused_more < 10:
                weight = min(plan.highest, 2 * weight)
            _arrive(versions, second, plan.window, plan.rate, weight, draw)
    return Ended(Verdict.UNDECIDED, "", _given(known + measured.tally), second)


def _given(tally: Tally) -> int:
    return tally.canary.requests + tally.canary.counted_out


def _arrive(
    versions: dict[str, _Version], start: float, length: float, rate: float, weight: float, draw: np.random.Generator
) -> None:
    """Requests come as a Poisson stream, and each is drawn a version."""
    starts = start + np.sort(draw.uniform(0, length, draw.poisson(rate * length)))
    ours = draw.random(len(starts)) < weight
    versions[_CANARY].come(starts[ours])
    versions[_STABLE].come(starts[~ours])


def _status(step: int, weight: float) -> PoolStatus:
    verdict = {"since": f"2026-01-01T00:00:{step:02}Z", "reads": 0}
    return PoolStatus.read(
        {"rollout": {"phase": "Analysing", "target": "x", "step": step, "weight": 100 * weight, "verdict": verdict}}
    )


def share_slow(manner: Manner, limit: float) -> float:
    """Return the share of answers of a version that take longer than the limit."""
    return 1 - NormalDist().cdf(_Z95 + log(limit / manner.p95) / SIGMA)


def p95_for(share: float, limit: float) -> float:
    """Return the 95th percentile of a version of which that share takes longer than the limit."""
    return limit * exp(SIGMA * (_Z95 - NormalDist().inv_cdf(1 - share)))
