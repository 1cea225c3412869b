"""Power: what the gate can tell at a given traffic, and after how many requests. From numbers alone; pure and fast.

The evidence of `evidence.py` is followed along the median course of a version of known proportions: at each number of requests
as many bad ones as half of such versions have at most. Against the exact figures in docs/gate.md a pass comes out to the request, an
abort within 5 % (a course that wavers gets there a tenth sooner than the median one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil, inf, log
from typing import Final

from slicewise.pool.rollout.evidence import log_evidence_above, log_evidence_below
from slicewise.pool.rollout.gate import ERRORS, LATENCY, SLOW_ALLOWED, Policy, bound, to_abort, to_pass

GOOD: Final = 0.2
"""A good version, in what is said of the traffic: it has a fifth of the bad requests that are allowed."""
BAD: Final = (2.0, 5.0, 20.0)
"""Multiples of what is allowed that count as bad."""
_SOONER: Final = 0.89
_MOST_BAD: Final = 500
"""Bad requests after which looking further is given up: the gate would take that proportion for allowed, or not, for ever."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The canary's weight, and how it grows while the canary is undecided."""

    weight: float
    """Per cent of the requests."""
    window: float = 60.0
    """Seconds after which an undecided canary gets twice as much."""
    most: float = 0.0
    """Per cent beyond which it does not grow; at or below `weight`: it does not grow at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How many requests of the canary it takes in the median, and how many seconds; `inf` where it never ends."""

    requests: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Power:
    """What the gate can tell at a traffic."""

    good_passes: Answer
    """A version with a fifth of what is allowed."""
    errors_found: dict[float, Answer]
    """Times the allowed errors → when that is found. Empty where errors are not judged."""
    slow_found: dict[float, Answer]
    """Times the allowed slow requests → when that is found. Empty where latency is not judged."""


def gate_power(requests_per_second: float, growth: Growth, policy: Policy) -> Power:
    """Return what a gate can tell. `requests_per_second`: of the whole pool."""

    def answer(requests: float, at_least: float = 0.0) -> Answer:
        return Answer(requests, max(at_least, seconds_for(requests, requests_per_second, growth)))

    passes = max(policy.min_samples, *(_to_pass(0, 0, limit, policy) for limit in _limits(policy)), 1)
    errors, slow = policy.max_errors, SLOW_ALLOWED if policy.judge_latency else None
    return Power(
        good_passes=answer(passes, growth.window),
        errors_found={} if errors is None else _found(errors, policy, ERRORS, answer),
        slow_found={} if slow is None else _found(slow, policy, LATENCY, answer),
    )


def more_to_pass(requests: int, failed: int, timed: int, slow: int, policy: Policy) -> float:
    """Return how many more requests of the canary it takes to pass if it is a good version from now on; `inf`: too many."""
    needed = [max(0.0, policy.min_samples - requests)]
    if policy.max_errors is not None:
        needed.append(_to_pass(max(requests, failed), failed, policy.max_errors, policy))
    if policy.judge_latency:
        needed += [_to_pass(max(timed, slow), slow, SLOW_ALLOWED, policy), policy.min_samples - timed]
    return max(needed)


def seconds_for(requests: float, requests_per_second: float, growth: Growth) -> float:
    """Return how long it takes until the canary has had this many requests; `inf` without traffic."""
    weight, left, seconds = growth.weight, requests, 0.0
    while requests_per_second > 0 and weight > 0 and left > 0:
        rate = requests_per_second * weight / 100
        if weight >= growth.most or left <= rate * growth.window:
            return seconds + left / rate
        left -= rate * growth.window
        seconds += growth.window
        weight = min(2 * weight, growth.most)
    return seconds if left <= 0 else inf


def _limits(policy: Policy) -> list[float]:
    return [
        *([] if policy.max_errors is None else [policy.max_errors]),
        *([SLOW_ALLOWED] if policy.judge_latency else []),
    ]


def _found(limit: float, policy: Policy, cause: str, answer: Callable[[float], Answer]) -> dict[float, Answer]:
    if policy.plain:
        return {times: answer(policy.min_samples) for times in BAD if times * limit < 1}
    return {times: answer(_to_abort(limit, times * limit, policy, cause)) for times in BAD if times * limit < 1}


def _to_pass(total: int, bad: int, limit: float, policy: Policy) -> float:
    """Further requests until the evidence below `tolerance` times the limit is there, with a fifth of the limit from now on."""
    if policy.plain:
        return 0.0
    proved, ruled_out = log(to_pass(policy)), bound(limit, policy)

    def there(more_bad: int, further: int) -> bool:
        return log_evidence_below(total + further, bad + more_bad, ruled_out) >= proved

    for more_bad in range(_MOST_BAD):
        first, last = ceil(_median_at(more_bad, GOOD * limit)), ceil(_median_at(more_bad + 1, GOOD * limit)) - 1
        if there(more_bad, max(last, more_bad)):
            return float(_first(partial(there, more_bad), max(first, more_bad), max(last, more_bad)))
    return inf


def _to_abort(limit: float, proportion: float, policy: Policy, cause: str) -> float:
    """Requests until the evidence above the limit is there, with that proportion of bad ones."""
    needed = log(to_abort(policy, cause))
    for bad in range(1, _MOST_BAD):
        total = max(bad, ceil(_median_at(bad, proportion)))
        if log_evidence_above(total, bad, limit) >= needed:
            return max(float(bad), round(_SOONER * total))
    return inf


def _median_at(bad: int, proportion: float) -> float:
    """Requests from which on half of the versions with that proportion have had `bad` bad ones (Poisson's median)."""
    return 0.0 if bad == 0 else (bad - 1 / 3 + 0.0264 / bad) / proportion


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least number from which on it holds, known to hold at `high`."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high
