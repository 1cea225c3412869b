"""Exact chances of the gate's verdicts: the law of (requests, bad ones) as a Markov chain that ends where the gate decides.

Where the gate decides is asked of `assess` itself, so nothing of it is written twice. Requests are independent here, and the gate
looks after each one: it can look no more often, so the chance to abort a good version, and the chance that a pass is open to
a bad one, are upper bounds for every traffic, every interval between reads and every growth of the share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np
from benchmarks.gate.scenarios import Floats, Ints, Scenario

from slicewise.pool.rollout.gate import Policy, Verdict, assess
from slicewise.pool.rollout.tally import Samples, Tally

HORIZON = 40_000
"""Canary requests up to which the figures go."""
POLICY = Policy(min_samples=1, compare_with_stable=False)


@dataclass(frozen=True, slots=True)
class Edges:
    """By number of requests: the fewest bad ones that abort (one more than there are: none do), the most that pass (-1: none)."""

    aborts: Ints
    passes: Ints


def settled(requests: int, failed: int, slow: int) -> Samples:
    """Return samples of requests that have all ended, the last of them longer ago than the limit."""
    return Samples(requests=requests, failed=failed, timed=requests, slow=slow, settled=requests, settled_here=requests)


@lru_cache(maxsize=8)
def edges(share: str, horizon: int, policy: Policy = POLICY) -> Edges:
    """Return the gate's edges in one share (`slow` or `failed`) for 0 … `horizon` requests, the other share not being judged."""
    alone = Policy(
        max_errors=policy.max_errors if share == "failed" else None,
        judge_latency=share == "slow",
        alpha=policy.alpha,
        tolerance=policy.tolerance,
        min_samples=1,
        compare_with_stable=False,
    )

    def verdict(requests: int, bad: int) -> Verdict:
        failed, slow = (bad, 0) if share == "failed" else (0, bad)
        seen = settled(requests, failed, slow)
        return assess(Tally(canary=seen), alone, window_over=True).verdict

    aborts, passes = np.ones(horizon + 1, np.int64), np.full(horizon + 1, -1, np.int64)
    fewest, most = 0, -1
    # Both edges only rise: one more request that was fine takes evidence from the one and adds to the other.
    for requests in range(1, horizon + 1):
        while fewest <= requests and verdict(requests, fewest) is not Verdict.FAIL:
            fewest += 1
        while most < requests and verdict(requests, most + 1) is Verdict.PASS:
            most += 1
        aborts[requests], passes[requests] = fewest, most
    return Edges(aborts, passes)


def ever_at_least(share: float, edge: Ints) -> Floats:
    """Return, by number of requests, the chance that the count of bad ones has reached `edge` by then."""
    alive, gone = np.zeros(int(edge.max()) + 2), 0.0
    alive[0] = 1.0
    result = np.zeros(len(edge))
    for requests in range(1, len(edge)):
        moved = alive * (1 - share)
        moved[1:] += alive[:-1] * share
        gone += float(moved[edge[requests] :].sum())
        moved[edge[requests] :] = 0.0
        alive, result[requests] = moved, gone
    return result


def ever_at_most(share: float, edge: Ints, first: int = 1) -> Floats:
    """Return, by number of requests, the chance that the count of bad ones has been at most `edge` at some time from `first` on."""
    size = int(edge.max()) + 200 + int(share * len(edge) * 2)
    alive, gone = np.zeros(size), 0.0
    alive[0] = 1.0
    result = np.zeros(len(edge))
    for requests in range(1, len(edge)):
        moved = alive * (1 - share)
        moved[1:] += alive[:-1] * share
        if requests >= first:
            gone += float(moved[: edge[requests] + 1].sum())
            moved[: edge[requests] + 1] = 0.0
        alive, result[requests] = moved, gone
    return result


@dataclass(frozen=True, slots=True)
class Course:
    """By number of requests: the chance to have passed, and to have been aborted, by then."""

    passed: Floats
    aborted: Floats


def course(scenario: Scenario, slow: Edges, failed: Edges, first: int) -> Course:
    """Return the verdicts on a version over both shares together, the window being over after `first` requests."""
    horizon = len(slow.aborts) - 1
    law = np.zeros((int(slow.aborts[-1]) + 1, int(failed.aborts[-1]) + 1))
    law[0, 0] = 1.0
    passed, aborted = np.zeros(horizon + 1), np.zeros(horizon + 1)
    for requests in range(1, horizon + 1):
        law = _one_more(_one_more(law, scenario.slow, 0), scenario.failed, 1)
        a, b = int(slow.aborts[requests]), int(failed.aborts[requests])
        gone = law[a:, :].sum() + law[:a, b:].sum()
        law[a:, :], law[:, b:] = 0.0, 0.0
        aborted[requests] = aborted[requests - 1] + gone
        done = 0.0
        if requests >= first:
            good = law[: slow.passes[requests] + 1, : failed.passes[requests] + 1]
            done = good.sum()
            good[...] = 0.0
        passed[requests] = passed[requests - 1] + done
    return Course(passed, aborted)


def _one_more(law: Floats, share: float, axis: int) -> Floats:
    moved = law * (1 - share)
    if axis == 0:
        moved[1:, :] += law[:-1, :] * share
    else:
        moved[:, 1:] += law[:, :-1] * share
    return moved


def clairvoyant(share: float, limit: float, alpha: float, horizon: int) -> Floats:
    """Return, by number of requests, the chance that the test that knows `share` beforehand has told it from `limit` by then."""
    worse, fine = log(share / limit), log((1 - share) / (1 - limit))
    needed = log(1 / alpha)
    total = np.arange(horizon + 1)
    if share > limit:
        return ever_at_least(share, np.ceil((needed - total * fine) / (worse - fine) - 1e-12).astype(np.int64))
    edge = np.floor((total * fine - needed) / (fine - worse) + 1e-12).astype(np.int64)
    return ever_at_most(share, np.maximum(edge, -1))


def median(chance: Floats) -> float:
    """Return the number of requests by which `chance` reaches a half; infinite if it does not."""
    return float(np.argmax(chance >= 0.5)) if chance[-1] >= 0.5 else float("inf")
