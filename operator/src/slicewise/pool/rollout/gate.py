"""The gate: samples in, verdict out. Pure: no clock, no I/O, no memory beyond what it is given.

Two proportions are judged by a limit: requests slower than `p95` (allowed: 5 %) and failures (allowed: `max_errors`). For each there is
evidence against "within the limit", which aborts, and evidence against "`tolerance` times the limit", which passes. Refusals (4xx)
have no limit, because clients cause them, but a canary that refuses more than stable does at the same time is aborted as well. No
data is never a pass.

Promise, with α = 1 - confidence: a version within its limits, which refuses no more than stable does, is aborted in at most α of
rollouts; one that is `tolerance` times as bad as allowed is promoted in at most α. It holds for independent requests; with
`compare_with_stable` a disturbance that both versions share cannot abort, whatever its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import Final

from slicewise.pool.rollout.evidence import log_evidence_above, log_evidence_below, log_mean
from slicewise.pool.rollout.tally import Samples, Tally

SLOW_ALLOWED = 0.05
"""Proportion of requests that may be slower than the 95th percentile's limit, by the meaning of a 95th percentile."""


class Verdict(StrEnum):
    """What the gate says of a canary."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    UNDECIDED = "Undecided"
    NO_DATA = "NoData"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is demanded of a canary."""

    max_errors: float | None = 0.01
    """Allowed proportion of failures; None: not judged."""
    judge_latency: bool = True
    alpha: float = 0.01
    tolerance: float = 2.0
    min_samples: int = 60
    compare_with_stable: bool = True
    steps: int = 1
    """Steps of the rollout. Latency is judged separately in each, so they share its risk of a false abort; all have to be passed, so that
    needs no more. Failures and refusals are judged once, over all steps together.
    """
    plain: bool = False
    """The literal rule instead: over a limit at the end of the window → fail, else pass."""


ERRORS: Final = "errors"
LATENCY: Final = "latency"
REFUSALS: Final = "refusals"
_RISK: Final = {ERRORS: 0.4, LATENCY: 0.4, REFUSALS: 0.2}
"""Parts of α: the chance that each may abort a version that is within its limits."""


def to_abort(policy: Policy, cause: str) -> float:
    """Return the evidence of that cause that aborts."""
    parts = max(1, policy.steps) if cause == LATENCY else 1
    return round(parts / (_RISK[cause] * policy.alpha), 6)


def to_pass(policy: Policy) -> float:
    """Return the evidence that passes."""
    return 1 / policy.alpha


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strong the evidence is, as plain numbers (1 says nothing, `1/α` decides; capped at 1e12)."""

    slow_above: float = 1.0
    failed_above: float = 1.0
    slow_below: float = 1.0
    failed_below: float = 1.0
    worse_than_stable: float = 1.0
    refused_more: float = 1.0
    """Against "the canary refuses no more than stable does"."""
    left_more: float = 1.0
    """Against "clients leave the canary, before the limit, no more than they leave stable"."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict and what it rests on."""

    verdict: Verdict
    cause: str
    """`errors`, `latency`, `refusals`; with no verdict `left` where clients leave it more; else empty."""
    evidence: Evidence


LEFT: Final = "left"
"""Cause of `Undecided`: it would pass if clients did not leave it more than stable, before it is known what they would have got."""


def assess(tally: Tally, policy: Policy, *, window_over: bool, pending: int = 0) -> Assessment:
    """Return the verdict on a canary.

    Fail as soon as the evidence is there. Pass only when the window is over, `min_samples` are in and both proportions are proved
    below `tolerance` times their limit. `window_over`: whether the step's window has passed; `pending`: requests of the canary
    that run at the moment and are over the limit: what becomes of them is not known, so for a pass they count as bad.
    """
    if tally.canary.requests <= 0 and tally.canary.counted_out == 0 and tally.canary.failed == 0:
        return Assessment(Verdict.NO_DATA, "", Evidence())
    logs = _Logs.of(tally, policy, pending)
    found = logs.evidence()
    if logs.refused_more >= log(to_abort(policy, REFUSALS)):
        return Assessment(Verdict.FAIL, REFUSALS, found)
    if tally.canary.requests <= 0 and tally.canary.failed == 0:
        return Assessment(Verdict.NO_DATA, "", found)
    if policy.plain:
        return _plain(tally, policy, found, window_over=window_over)
    cause = _cause(logs, tally, policy)
    if cause:
        return Assessment(Verdict.FAIL, cause, found)
    if window_over and logs.passes and _enough(tally.canary, policy):
        left = logs.left_more >= log(to_abort(policy, REFUSALS))
        return Assessment(Verdict.UNDECIDED, LEFT, found) if left else Assessment(Verdict.PASS, "", found)
    return Assessment(Verdict.UNDECIDED, "", found)


def _enough(seen: Samples, policy: Policy) -> bool:
    least = min(seen.settled, seen.settled_here if policy.judge_latency else seen.settled)
    return least >= policy.min_samples


@dataclass(frozen=True, slots=True)
class _Logs:
    slow_above: float
    failed_above: float
    slow_below: float
    failed_below: float
    slow_worse: float
    failed_worse: float
    refused_more: float
    left_more: float
    passes: bool

    @classmethod
    def of(cls, tally: Tally, policy: Policy, pending: int) -> _Logs:
        """A proportion that is not judged neither aborts nor holds a pass back."""
        seen = tally.canary
        slow, errors = policy.judge_latency, policy.max_errors
        slow_below = _below(seen.settled_here, seen.slow + pending, SLOW_ALLOWED, policy) if slow else 1e9
        failed_below = 1e9 if errors is None else _below(seen.settled, seen.failed + pending, errors, policy)
        return cls(
            slow_above=log_evidence_above(seen.timed, seen.slow, SLOW_ALLOWED) if slow else 0.0,
            slow_below=slow_below,
            failed_above=0.0
            if errors is None
            else log_evidence_above(max(seen.requests, seen.failed), seen.failed, errors),
            failed_below=failed_below,
            slow_worse=log_mean(tally.slow_ratios),
            failed_worse=log_mean(tally.failed_ratios),
            refused_more=log_mean(tally.refused_ratios),
            left_more=log_mean(tally.left_ratios),
            passes=min(slow_below, failed_below) >= log(to_pass(policy)),
        )

    def evidence(self) -> Evidence:
        return Evidence(
            _plainly(self.slow_above),
            _plainly(self.failed_above),
            _plainly(self.slow_below),
            _plainly(self.failed_below),
            _plainly(max(self.slow_worse, self.failed_worse)),
            _plainly(self.refused_more),
            _plainly(self.left_more),
        )


def _below(settled: int, bad: int, limit: float, policy: Policy) -> float:
    """More may be bad than have settled: those that began a moment ago and failed at once."""
    return log_evidence_below(max(0, settled, bad), bad, bound(limit, policy))


def bound(limit: float, policy: Policy) -> float:
    """Return the proportion that a pass rules out: `tolerance` times the limit."""
    return min(0.9, limit * policy.tolerance)


def _plainly(value: float) -> float:
    return float(f"{exp(max(-700.0, min(value, log(1e12)))):.4g}")


def _cause(logs: _Logs, tally: Tally, policy: Policy) -> str:
    """A part of α for each proportion, and as much again for the comparison, where there is a stable sample to compare with."""
    for name, above, worse, compared in (
        (ERRORS, logs.failed_above, logs.failed_worse, tally.stable.requests),
        (LATENCY, logs.slow_above, logs.slow_worse, tally.stable.timed),
    ):
        needed = log(to_abort(policy, name))
        shared = policy.compare_with_stable and compared > 0 and worse < needed
        if above >= needed and not shared:
            return name
    return ""


def _plain(tally: Tally, policy: Policy, found: Evidence, *, window_over: bool) -> Assessment:
    seen = tally.canary
    unseen = policy.judge_latency and seen.timed == 0  # such as a canary that got jobs alone
    if not window_over or unseen or seen.requests < policy.min_samples:
        return Assessment(Verdict.UNDECIDED, "", found)
    if policy.max_errors is not None and seen.failed > policy.max_errors * seen.requests:
        return Assessment(Verdict.FAIL, ERRORS, found)
    if policy.judge_latency and seen.slow > SLOW_ALLOWED * seen.timed:
        return Assessment(Verdict.FAIL, LATENCY, found)
    return Assessment(Verdict.PASS, "", found)
