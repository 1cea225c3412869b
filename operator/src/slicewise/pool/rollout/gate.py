"""The gate: samples in, verdict out. Pure: no clock, no I/O, no memory beyond what it is given.

Two shares are judged: requests slower than `p95` (allowed: 5 %) and failures (allowed: `max_errors`). For each there is evidence
against "within the limit", which aborts, and evidence against "`tolerance` times the limit", which passes. No data is never a pass.

Promise, with α = 1 - confidence: a version within its limits is aborted in at most α of rollouts; one that is `tolerance` times as
bad as allowed is promoted in at most α. It holds for independent requests; with `compare_with_stable` a disturbance that both
versions share cannot abort, whatever its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

from slicewise.pool.rollout.evidence import (
    ODDS,
    log_evidence_above,
    log_evidence_below,
    log_mean,
    log_ratios_worse,
)

SLOW_ALLOWED = 0.05
"""Share of requests that may be slower than the 95th percentile's limit, by the meaning of a 95th percentile."""


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
    """Allowed share of failures; None: not judged."""
    judge_latency: bool = True
    alpha: float = 0.01
    tolerance: float = 2.0
    min_samples: int = 60
    compare_with_stable: bool = True
    steps: int = 1
    """Steps of the rollout. Each is judged anew, so they share the risk of a false abort; all have to be passed, so that needs no more."""
    plain: bool = False
    """The literal rule instead: over a limit at the end of the window → fail, else pass."""


def to_abort(policy: Policy) -> float:
    """Return the evidence that aborts."""
    return 2 * max(1, policy.steps) / policy.alpha


def to_pass(policy: Policy) -> float:
    """Return the evidence that passes."""
    return 1 / policy.alpha


@dataclass(frozen=True, slots=True)
class Samples:
    """Requests of one version since the step began. `slow` are among `timed`, `failed` among `requests`."""

    requests: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0

    def __add__(self, other: Samples) -> Samples:
        """Return both together."""
        return Samples(
            self.requests + other.requests,
            self.failed + other.failed,
            self.timed + other.timed,
            self.slow + other.slow,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What is remembered of a step: the sums, and the running comparison with stable."""

    canary: Samples = Samples()
    stable: Samples = Samples()
    slow_ratios: tuple[float, ...] = (0.0,) * len(ODDS)
    failed_ratios: tuple[float, ...] = (0.0,) * len(ODDS)

    def __add__(self, other: Tally) -> Tally:
        """Return both together: other intervals of the same step."""
        return Tally(
            self.canary + other.canary,
            self.stable + other.stable,
            tuple(a + b for a, b in zip(self.slow_ratios, other.slow_ratios, strict=True)),
            tuple(a + b for a, b in zip(self.failed_ratios, other.failed_ratios, strict=True)),
        )

    def plus(self, canary: Samples, stable: Samples) -> Tally:
        """Return the tally after one more interval between two reads. Raises ValueError for counts that cannot be."""
        for sample in (canary, stable):
            if not (0 <= sample.failed <= sample.requests and 0 <= sample.slow <= sample.timed):
                raise ValueError(f"no such counts: {sample}")
        slow = log_ratios_worse(canary.timed, canary.slow, stable.timed, stable.slow)
        failed = log_ratios_worse(canary.requests, canary.failed, stable.requests, stable.failed)
        return self + Tally(canary, stable, slow, failed)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strong the evidence is, as plain numbers (1 says nothing, `1/α` decides; capped at 1e12)."""

    slow_above: float = 1.0
    failed_above: float = 1.0
    slow_below: float = 1.0
    failed_below: float = 1.0
    worse_than_stable: float = 1.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict and what it rests on."""

    verdict: Verdict
    cause: str
    """`latency`, `errors`, or empty where none is to blame."""
    evidence: Evidence


def assess(tally: Tally, policy: Policy, *, window_over: bool) -> Assessment:
    """Return the verdict on a canary.

    Fail as soon as the evidence is there. Pass only when the window is over, `min_samples` are in and both shares are proved
    below `tolerance` times their limit. `window_over`: whether the step's window has passed.
    """
    if tally.canary.requests == 0:
        return Assessment(Verdict.NO_DATA, "", Evidence())
    if policy.plain:
        return _plain(tally, policy, window_over=window_over)
    logs = _Logs.of(tally, policy)
    cause = _cause(logs, tally, policy)
    if cause:
        return Assessment(Verdict.FAIL, cause, logs.evidence())
    enough = min(tally.canary.requests, tally.canary.timed if policy.judge_latency else tally.canary.requests)
    proved = log(to_pass(policy))
    if window_over and enough >= policy.min_samples and logs.slow_below >= proved and logs.failed_below >= proved:
        return Assessment(Verdict.PASS, "", logs.evidence())
    return Assessment(Verdict.UNDECIDED, "", logs.evidence())


@dataclass(frozen=True, slots=True)
class _Logs:
    slow_above: float
    failed_above: float
    slow_below: float
    failed_below: float
    slow_worse: float
    failed_worse: float

    @classmethod
    def of(cls, tally: Tally, policy: Policy) -> _Logs:
        """A share that is not judged neither aborts nor holds a pass back."""
        seen = tally.canary
        slow, errors = policy.judge_latency, policy.max_errors
        return cls(
            slow_above=log_evidence_above(seen.timed, seen.slow, SLOW_ALLOWED) if slow else 0.0,
            slow_below=log_evidence_below(seen.timed, seen.slow, bound(SLOW_ALLOWED, policy)) if slow else 1e9,
            failed_above=0.0 if errors is None else log_evidence_above(seen.requests, seen.failed, errors),
            failed_below=1e9
            if errors is None
            else log_evidence_below(seen.requests, seen.failed, bound(errors, policy)),
            slow_worse=log_mean(tally.slow_ratios),
            failed_worse=log_mean(tally.failed_ratios),
        )

    def evidence(self) -> Evidence:
        return Evidence(
            _plainly(self.slow_above),
            _plainly(self.failed_above),
            _plainly(self.slow_below),
            _plainly(self.failed_below),
            _plainly(max(self.slow_worse, self.failed_worse)),
        )


def bound(limit: float, policy: Policy) -> float:
    """Return the share that a pass rules out: `tolerance` times the limit."""
    return min(0.9, limit * policy.tolerance)


def _plainly(value: float) -> float:
    return float(f"{exp(min(value, log(1e12))):.4g}")


def _cause(logs: _Logs, tally: Tally, policy: Policy) -> str:
    """Half of α for each share of each step, and as much again for the comparison, where there is a stable sample to compare with."""
    needed = log(to_abort(policy))
    for name, above, worse, compared in (
        ("errors", logs.failed_above, logs.failed_worse, tally.stable.requests),
        ("latency", logs.slow_above, logs.slow_worse, tally.stable.timed),
    ):
        shared = policy.compare_with_stable and compared > 0 and worse < needed
        if above >= needed and not shared:
            return name
    return ""


def _plain(tally: Tally, policy: Policy, *, window_over: bool) -> Assessment:
    seen = tally.canary
    if not window_over or seen.requests < policy.min_samples:
        return Assessment(Verdict.UNDECIDED, "", Evidence())
    if policy.max_errors is not None and seen.failed > policy.max_errors * seen.requests:
        return Assessment(Verdict.FAIL, "errors", Evidence())
    if policy.judge_latency and seen.slow > SLOW_ALLOWED * seen.timed:
        return Assessment(Verdict.FAIL, "latency", Evidence())
    return Assessment(Verdict.PASS, "", Evidence())
