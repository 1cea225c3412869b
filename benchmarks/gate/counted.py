"""Figures of what is counted besides whole answers: refusals, answers that hang, failures that come before answers, several steps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from benchmarks.gate.lasting import Ended, Manner, Plan, p95_for, play_requests
from benchmarks.gate.simulated import seeded, share_interval
from benchmarks.report import Figure

from slicewise.pool.rollout.gate import Policy, Verdict

GOOD = Manner(p95=0.5, failed=0.002)
LONG = 20.0
"""Seconds: a limit for answers that are long."""


def _rollouts(name: str, canary: Manner, stable: Manner, plan: Plan, policy: Policy, count: int) -> list[Ended]:
    draw = seeded(name)
    return [play_requests(canary, stable, plan, policy, draw) for _ in range(count)]


def _share(ended: list[Ended], verdict: Verdict) -> float:
    return float(np.mean([one.verdict is verdict for one in ended]))


def _requests(ended: list[Ended], percent: float) -> float:
    return float(np.percentile([one.requests for one in ended], percent, method="higher"))


def counted(rollouts: int) -> Iterable[Figure]:
    """Yield the figures."""
    yield from _refusals(rollouts)
    yield from _false_aborts(rollouts)
    yield from _false_promotions(rollouts)
    yield from _steps(rollouts)


def _refusals(rollouts: int) -> Iterable[Figure]:
    for name, share in (("everything", 1.0), ("half of all", 0.5)):
        for weight in (0.05, 0.25, 0.5):
            plan = Plan(4, (weight,), window=20)
            what = f"requests until a canary that refuses {name} is given up, weight {weight:.0%}"
            ended = _rollouts(what, Manner(refused=share), GOOD, plan, Policy(), rollouts)
            caught = _share(ended, Verdict.FAIL)
            yield Figure(
                what,
                _requests(ended, 99),
                "requests",
                20.0 if share == 1.0 else None,
                note=f"99 % of rollouts; median {_requests(ended, 50):.0f}; given up {caught:.1%}; 4/s, stable refuses none",
            )


_ALIKE = (
    ("both refuse 20 %, answers at once", Manner(0.5, 0.002, 0.2), Manner(0.5, 0.002, 0.2), Plan(20)),
    (
        "both refuse 2 % at once, answers take 15 s",
        Manner(15, 0.002, 0.02),
        Manner(15, 0.002, 0.02),
        Plan(20, limit=LONG),
    ),
    ("0.5 % fail at once, answers take 15 s", Manner(15, 0.005), Manner(15, 0.005), Plan(200, limit=LONG)),
    ("both hang in 1 %, for 30 s", Manner(0.5, 0, 0, 0.008, 30), Manner(0.5, 0, 0, 0.008, 30), Plan(40)),
)


def _false_aborts(rollouts: int) -> Iterable[Figure]:
    """By the limits alone, which is stricter than beside the comparison; refusals are compared in any case."""
    for name, canary, stable, plan in _ALIKE:
        what = f"false abort, {name}"
        ended = _rollouts(what, canary, stable, plan, Policy(compare_with_stable=False), rollouts)
        value = _share(ended, Verdict.FAIL)
        note = f"{plan.rate:g}/s, without the comparison of the limits; promoted {_share(ended, Verdict.PASS):.1%}"
        yield Figure(what, value, "", 0.01, ci=share_interval(value, rollouts), note=note)


_BAD = (
    ("10 % hang for 120 s", Manner(0.5, 0, 0, 0.10), Policy(), Plan(200, window=30)),
    ("10 % hang until the client leaves after 10 s", Manner(0.5, 0, 0, 0.10, 10, leaves=True), Policy(), Plan(200)),
    ("3 % hang for 120 s", Manner(0.5, 0, 0, 0.03), Policy(), Plan(200)),
    (
        "10 % hang for 60 s, only errors are judged",
        Manner(0.5, 0, 0, 0.10, 60),
        Policy(judge_latency=False),
        Plan(200, limit=30),
    ),
    ("twice the slow share, limit 20 s", Manner(p95_for(0.10, LONG), 0.002), Policy(), Plan(200, limit=LONG)),
    ("half of all refused", Manner(0.5, 0.002, 0.5), Policy(), Plan(20)),
)


def _false_promotions(rollouts: int) -> Iterable[Figure]:
    for name, canary, policy, plan in _BAD:
        what = f"promotion, {name}"
        ended = _rollouts(what, canary, GOOD if plan.limit < LONG else Manner(15, 0.002), plan, policy, rollouts)
        value, caught = _share(ended, Verdict.PASS), _share(ended, Verdict.FAIL)
        seconds = [one.seconds for one in ended if one.verdict is Verdict.FAIL]
        when = f", in the median after {np.median(seconds):.0f} s" if seconds else ""
        note = f"{plan.rate:g}/s, window {plan.window} s; aborted {caught:.1%}{when}"
        yield Figure(what, value, "", 0.01, ci=share_interval(value, rollouts), note=note)


def _steps(rollouts: int) -> Iterable[Figure]:
    for weights in ((0.2,), (0.2, 0.35, 0.5)):
        plan = Plan(20, weights, window=5, highest=weights[0])
        what = f"canary requests of a good version until it is promoted, {len(weights)} step{'s' * (len(weights) > 1)}"
        policy = Policy(steps=len(weights))
        ended = _rollouts(what, Manner(0.4, 0.001), GOOD, plan, policy, rollouts)
        passed = [one for one in ended if one.verdict is Verdict.PASS]
        note = f"median; promoted {len(passed) / rollouts:.1%}, aborted {_share(ended, Verdict.FAIL):.1%}; each step anew: 3 × 288"
        yield Figure(what, _requests(passed, 50), "requests", 600.0, note=note)
