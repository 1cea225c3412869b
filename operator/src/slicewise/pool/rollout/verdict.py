"""The verdict: from what was counted and what the spec demands to the next verdict record. Pure; no clock but the times it is given.

`analysing.py` acts on it. The statistics are in `gate.py`, the words in `words.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1.rollout import CanarySpec, CanaryStep, GateRule
from slicewise.api.v1alpha1.status import LimitsStatus
from slicewise.pool.rollout.gate import Policy, Verdict, assess
from slicewise.pool.rollout.power import Growth, more_to_pass, seconds_for
from slicewise.pool.rollout.verdict_record import UNREADABLE, Measured, VerdictRecord
from slicewise.pool.rollout.words import (
    NO_TRAFFIC,
    counted,
    nothing_told,
    outlook_words,
    undecided_words,
    verdict_words,
)

DEFAULT_STEPS: Final = (CanaryStep(weight=5, window="60s"),)
OUTLOOK_SECONDS: Final = 10.0
"""How long the traffic is watched before it is said what the gate can tell of it."""
NO_TRAFFIC_SECONDS: Final = 60.0
_REMEMBERED_SECONDS: Final = 60.0
"""The rate is the mean of the first minute, and then follows the traffic over about that time."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a canary is held to in the step it is at."""

    canary: CanarySpec
    step: CanaryStep
    index: int
    steps: int
    weight: int
    """Per cent of the requests that it gets now."""
    most: int
    """Per cent to which that may grow: the canary's part of the pool's serving workers."""
    paused: bool = False

    @property
    def window(self) -> float:
        """Seconds of the step's window."""
        return duration_seconds(self.step.window)

    @property
    def deadline(self) -> float:
        """Seconds that the step may stay undecided; never less than its window."""
        return max(duration_seconds(self.canary.deadline), self.window)

    @property
    def growth(self) -> Growth:
        """The canary's weight, and how it grows."""
        return Growth(self.weight, self.window, self.most if self.canary.grow else 0)


def steps_of(canary: CanarySpec) -> tuple[CanaryStep, ...]:
    """Return the steps that the spec asks for."""
    return canary.steps or DEFAULT_STEPS


def policy_of(canary: CanarySpec) -> Policy:
    """Return what the spec demands."""
    return Policy(
        max_errors=_fraction(canary.max_errors),
        judge_latency=canary.p95 is not None,
        alpha=round(1 - _fraction(canary.confidence), 12),
        tolerance=canary.tolerance,
        min_samples=canary.min_samples,
        compare_with_stable=canary.compare_with_stable,
        steps=len(steps_of(canary)),
        plain=canary.rule is GateRule.PLAIN,
    )


def limits_of(canary: CanarySpec) -> LimitsStatus:
    """Return what the canary is held to."""
    return LimitsStatus(
        p95=canary.p95,
        max_errors=canary.max_errors,
        confidence=canary.confidence,
        tolerance=canary.tolerance,
        min_samples=canary.min_samples,
    )


def fresh(canary: CanarySpec, now: float, *, before: VerdictRecord | None = None) -> VerdictRecord:
    """Return what is known of a canary when a step begins.

    `before`: what was known when the step before it ended. Failures and refusals are of the same version at each weight, so they
    count on; latency changes with the load, so its count starts again.
    """
    known = VerdictRecord(message="no request has been counted yet", limits=limits_of(canary), since=now, at=now)
    if before is None:
        return known
    return replace(known, tally=before.tally.at_next_step(), outlook=before.outlook, rate=before.rate)


def next_record(before: VerdictRecord, course: Course, measured: Measured, now: float) -> VerdictRecord:
    """Return the verdict record after what was measured since `before` was written."""
    watched = before.watched + (0.0 if course.paused else max(0.0, measured.seconds))
    record = replace(
        before,
        tally=before.tally + measured.tally,
        watched=watched,
        rate=_rate(before, measured),
        reads=before.reads + measured.reads,
        pending=measured.pending if measured.reads else before.pending,
        limits=limits_of(course.canary),
        at=now,
    )
    policy = policy_of(course.canary)
    found = assess(record.tally, policy, window_over=watched >= course.window, pending=record.pending)
    record = replace(record, verdict=found.verdict, cause=found.cause, evidence=found.evidence)
    if found.verdict is not Verdict.FAIL and (measured.trouble or found.verdict is Verdict.NO_DATA):
        return _without_data(record, course, measured)
    record = _with_outlook(record, course, policy)
    if found.verdict is Verdict.UNDECIDED:
        return _undecided(record, course, policy)
    message = verdict_words(record, course.canary, policy, course.weight)
    return replace(record, message=message, needed=0 if found.verdict is Verdict.PASS else None, remaining=None)


def _without_data(record: VerdictRecord, course: Course, measured: Measured) -> VerdictRecord:
    """No data is never a pass, whatever was counted before."""
    so_far = counted(record.tally.canary, course.canary)
    cause = UNREADABLE if measured.trouble else ""
    if measured.trouble:
        message = f"no data: {measured.trouble}; until then {so_far}"
    else:
        message = f"no data: {nothing_told(record, course.weight)}"
        record = _with_outlook(record, course, policy_of(course.canary))
    return replace(record, verdict=Verdict.NO_DATA, cause=cause, message=message, needed=None, remaining=None)


def _undecided(record: VerdictRecord, course: Course, policy: Policy) -> VerdictRecord:
    seen = record.tally.canary
    needed = more_to_pass(
        max(0, seen.requests), seen.failed + record.pending, seen.timed, seen.slow + record.pending, policy
    )
    left = max(0.0, course.window - record.watched)
    seconds = max(left, seconds_for(needed, record.rate or 0.0, course.growth))
    grown = max(course.weight, course.most) if course.canary.grow else course.weight
    return replace(
        record,
        message=undecided_words(record, needed, seconds, grown),
        needed=None if needed == inf else int(needed),
        remaining=None if seconds == inf else seconds,
    )


def _with_outlook(record: VerdictRecord, course: Course, policy: Policy) -> VerdictRecord:
    """Say once what the gate can tell, as soon as the traffic is known. "No traffic" is provisional and is replaced later."""
    enough = OUTLOOK_SECONDS if record.rate else NO_TRAFFIC_SECONDS
    if record.outlook not in {"", NO_TRAFFIC} or record.watched < enough:
        return record
    text = outlook_words(record.rate or 0.0, course.growth, policy, course.canary, course.deadline)
    return replace(record, outlook=text)


def _rate(before: VerdictRecord, measured: Measured) -> float | None:
    if measured.seconds <= 0:
        return before.rate
    counts = measured.tally
    given = sum(max(0, one.requests + one.counted_out) for one in (counts.canary, counts.stable))
    latest = given / measured.seconds
    known = before.rate if before.rate is not None else latest
    smoothing = max(measured.seconds / _REMEMBERED_SECONDS, measured.seconds / (before.watched + measured.seconds))
    return known + (latest - known) * min(1.0, smoothing)


def _fraction(percent: str) -> float:
    return float(percent.removesuffix("%")) / 100
