"""Words for what the gate says: numbers, limits, window, and how long it still takes. Pure."""

from __future__ import annotations

from math import inf
from typing import Final

from slicewise.api.v1alpha1.rollout import CanarySpec, OnUndecided
from slicewise.pool.rollout.gate import (
    ERRORS,
    LATENCY,
    LEFT,
    REFUSALS,
    SLOW_ALLOWED,
    Policy,
    Verdict,
    to_abort,
    to_pass,
)
from slicewise.pool.rollout.power import Answer, Growth, gate_power
from slicewise.pool.rollout.tally import Samples
from slicewise.pool.rollout.verdict_record import VerdictRecord

TOO_LITTLE: Final = "too little traffic"
NO_TRAFFIC: Final = f"{TOO_LITTLE}: no request has come so far, and without any the gate cannot tell anything"
MAY_BE_SLOW: Final = f"{SLOW_ALLOWED * 100:g} %"


def duration(seconds: float) -> str:
    """Return a length of time as a person says it: `40 seconds`, `9 minutes`, `3 hours`, `2 days`."""
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {unit}s"
    count = max(1, round(seconds))
    return f"{count} second{'s' if count > 1 else ''}"


def rate(requests_per_second: float) -> str:
    """Return a number of requests as a person says it."""
    if requests_per_second >= 0.1:
        return (
            f"{requests_per_second:.2g} requests/s"
            if requests_per_second < 100
            else f"{requests_per_second:.0f} requests/s"
        )
    return f"{requests_per_second * 3600:.0f} requests/h"


def counted(samples: Samples, canary: CanarySpec) -> str:
    """Return what was counted, each number with its limit; what was counted out is said to be that."""
    parts = [f"{samples.failed} of {max(0, samples.requests)} requests failed (maxErrors {canary.max_errors})"]
    if canary.p95 is not None:
        parts.append(f"{samples.slow} of {samples.timed} were slower than {canary.p95} ({MAY_BE_SLOW} may be)")
    if samples.counted_out:
        parts.append(f"not counted: {counted_out(samples)}")
    return ", ".join(parts)


def counted_out(samples: Samples) -> str:
    """Return how many requests say nothing of failures and latency, and why; empty where none."""
    parts = []
    if samples.refused:
        parts.append(f"{samples.refused} refused by it (4xx)")
    if samples.left:
        parts.append(f"{samples.left} left by their clients")
    return ", ".join(parts)


def nothing_told(record: VerdictRecord, weight: int) -> str:
    """Return why nothing is known of a canary."""
    seen = record.tally.canary
    where = f"in {duration(record.watched)} at {weight} % of the traffic"
    if not seen.counted_out:
        return f"not one request of the canary {where}"
    text = f"all {_requests(seen.counted_out)} of the canary {where} were counted out: {counted_out(seen)}"
    if not seen.refused:
        return text
    theirs = record.tally.stable
    given = max(0, theirs.requests + theirs.counted_out)
    beside = f"stable refused {theirs.refused} of {given}" if given else "no request of stable to compare it with"
    return f"{text}; {beside}"


def _requests(count: int) -> str:
    return f"{count} request{'s' if count != 1 else ''}"


def verdict_words(record: VerdictRecord, canary: CanarySpec, policy: Policy, weight: int) -> str:
    """Return the sentence of a verdict that ends a step: samples, limits, window, evidence."""
    evidence = record.evidence
    what = f"{counted(record.tally.canary, canary)} in {duration(record.watched)} at {weight} % of the traffic"
    if record.verdict is Verdict.FAIL:
        return _too_many(record, policy, what)
    if policy.plain:
        return f"within its limits: {what}; rule Plain"
    proofs = [evidence.failed_below, *([evidence.slow_below] if canary.p95 is not None else [])]
    return f"good enough: {what}; evidence {min(proofs):g}, and {to_pass(policy):g} passes"


def _too_many(record: VerdictRecord, policy: Policy, what: str) -> str:
    evidence, needed = record.evidence, to_abort(policy, record.cause)
    named = {ERRORS: "failures", LATENCY: "slow answers", REFUSALS: "refusals"}[record.cause]
    if record.cause == REFUSALS:
        seen = [f"{_refused(record.tally.canary)} by it", f"{_refused(record.tally.stable)} by stable"]
        return (
            f"too many {named}: {seen[0]}, {seen[1]}; evidence {evidence.refused_more:g}, and {needed:g} aborts; {what}"
        )
    if policy.plain:
        return f"too many {named}: {what}; rule Plain"
    found = evidence.failed_above if record.cause == ERRORS else evidence.slow_above
    beside = f", that it is worse than stable {evidence.worse_than_stable:g}" if policy.compare_with_stable else ""
    return f"too many {named}: {what}; evidence {found:g}{beside}, and {needed:g} aborts"


def _refused(samples: Samples) -> str:
    given = max(0, samples.requests + samples.counted_out)
    return f"{samples.refused} of {_requests(given)} refused (4xx)"


def undecided_words(record: VerdictRecord, needed: float, seconds: float, weight: float) -> str:
    """Return how far it is, and how long it takes. `weight`: per cent to which the canary's weight grows."""
    seen = record.tally.canary
    out = f" ({counted_out(seen)} not counted)" if seen.counted_out else ""
    so_far = f"undecided: {_requests(max(0, seen.requests))} so far{out}"
    if record.cause == LEFT:
        return f"{so_far}; good enough, but clients leave it sooner than they leave stable, before it is known what they would get"
    if needed == inf:
        return f"{so_far}; a good version would need very many more, for these are not good"
    if needed <= 0:
        return f"{so_far}, enough of them; the window is not over, or the latest have still to be answered"
    more = f"{so_far}, about {_rounded(needed)} more needed"
    if not record.rate or seconds == inf:
        return f"{more}; at present no request comes"
    return f"{more}; at {rate(record.rate)} and {weight:g} % that takes about {duration(seconds)}"


def _rounded(count: float) -> int:
    return round(count) if count < 100 else 10 * round(count / 10)


def outlook_words(
    requests_per_second: float, growth: Growth, policy: Policy, canary: CanarySpec, deadline: float
) -> str:
    """Return what the gate can tell at this traffic; `TOO_LITTLE` comes first where it is nothing before the deadline (seconds)."""
    if requests_per_second <= 0:
        return NO_TRAFFIC
    power = gate_power(requests_per_second, growth, policy)
    good = power.good_passes
    at = f"at {rate(requests_per_second)}"
    if good.seconds > deadline:
        return (
            f"{TOO_LITTLE}: {at} a good version needs about {_time(good)} to pass ({good.requests:.0f} requests of the canary), longer "
            f"than the deadline of {duration(deadline)}: {_then(canary.on_undecided)}. Raise maxErrors, the step's weight or deadline"
        )
    found = [
        f"{name} are found in about {_time(answer)}" for name, answer in _bad(power.errors_found, power.slow_found)
    ]
    return ", ".join([f"{at}: a good version passes in about {_time(good)}", *found])


def _bad(errors: dict[float, Answer], slow: dict[float, Answer]) -> list[tuple[str, Answer]]:
    named = [("twice the allowed errors", errors.get(2.0)), ("twice the allowed slow answers", slow.get(2.0))]
    return [(name, answer) for name, answer in named if answer is not None]


def _then(on_undecided: OnUndecided) -> str:
    return {
        OnUndecided.HOLD: "it will be held as undecided",
        OnUndecided.PROMOTE: "it will be promoted without proof",
        OnUndecided.ABORT: "it will be given up",
    }[on_undecided]


def _time(answer: Answer) -> str:
    return "for ever" if answer.seconds == inf else duration(answer.seconds)
