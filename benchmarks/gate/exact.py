"""Figures that are computed, not drawn: chances of a verdict, medians, and Wald's bound beside them."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.gate.chain import HORIZON, clairvoyant, course, edges, ever_at_least, ever_at_most, median
from benchmarks.gate.scenarios import (
    FAILING,
    GOOD,
    INSIDE,
    MAX_ERRORS,
    NEAR,
    SLOW,
    TWICE,
    TWICE_FAILED,
    TWICE_SLOW,
    Scenario,
)
from benchmarks.report import Figure

from slicewise.pool.rollout.evidence import wald_bound
from slicewise.pool.rollout.gate import ERRORS, LATENCY, SLOW_ALLOWED, Policy, to_abort

RISK = {"slow": 1 / to_abort(Policy(), LATENCY), "failed": 1 / to_abort(Policy(), ERRORS)}
"""The chance with which each share may abort a version that is on its limit."""
LIMITS = {"slow": SLOW_ALLOWED, "failed": MAX_ERRORS}
_COURSE = 4000
ANY = f"exact, looked at after each of {HORIZON:,} requests: the most at any traffic and any interval of reads"


def most_aborted(scenario: Scenario) -> float:
    """Return the chance that a version is ever aborted by its limits, over both shares."""
    slow = ever_at_least(scenario.slow, edges("slow", HORIZON).aborts)[-1]
    failed = ever_at_least(scenario.failed, edges("failed", HORIZON).aborts)[-1]
    return float(1 - (1 - slow) * (1 - failed))


def most_promoted(scenario: Scenario) -> float:
    """Return the chance that a version of `TWICE` ever looks good enough in the share in which it is not."""
    share = "slow" if scenario is TWICE_SLOW else "failed"
    return float(ever_at_most(getattr(scenario, share), edges(share, HORIZON).passes)[-1])


def exact() -> Iterable[Figure]:
    """Yield the exact figures."""
    for scenario in INSIDE:
        yield Figure(f"false abort, {scenario.name}", most_aborted(scenario), "", 0.01, note=ANY)
    for scenario in TWICE:
        yield Figure(f"false promotion, {scenario.name}", most_promoted(scenario), "", 0.01, note=ANY)
    short = edges("slow", _COURSE), edges("failed", _COURSE)
    least = Policy().min_samples
    for scenario, goal in ((GOOD, 300.0), (NEAR, None)):
        passed = course(scenario, *short, least).passed
        ninth = int((passed < 0.9).sum())
        note = f"exact; 90 % of them within {ninth}"
        yield Figure(f"median to promotion, {scenario.name}", median(passed), "requests", goal, note=note)
    for scenario in (*SLOW, TWICE_SLOW):
        yield from _to_abort(scenario, "slow")
    for scenario in (*FAILING, TWICE_FAILED):
        yield from _to_abort(scenario, "failed")


def _to_abort(scenario: Scenario, share: str) -> Iterable[Figure]:
    true, limit = getattr(scenario, share), LIMITS[share]
    bound = wald_bound(true, limit, RISK[share])
    reached = ever_at_least(true, edges(share, HORIZON).aborts)
    ours, thrice = median(reached), int(3 * bound)
    knowing = clairvoyant(true, limit, RISK[share], thrice)
    yield Figure(
        f"median to abort / Wald's bound, {scenario.name}",
        ours / bound,
        "x",
        1.25 if bound >= 30 else None,
        peer="a test that knows the share",
        peer_value=median(knowing) / bound,
        note=f"exact, by the limit alone; {ours:.0f} requests, bound {bound:.1f}",
    )
    yield Figure(
        f"undecided at 3 × the bound, {scenario.name}",
        float(1 - reached[thrice]),
        "",
        0.05,
        peer="a test that knows the share",
        peer_value=float(1 - knowing[-1]),
        note=f"exact, by the limit alone; {thrice} requests",
    )
