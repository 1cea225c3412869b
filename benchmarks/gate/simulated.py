"""Figures from rollouts that are simulated: whole rollouts at each traffic, the comparison with stable, disturbances."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

import numpy as np
from benchmarks.gate.baselines import WINDOW, Aborts, aborts
from benchmarks.gate.disturbed import KINDS, disturbed
from benchmarks.gate.exact import LIMITS, RISK, most_aborted, most_promoted
from benchmarks.gate.scenarios import FAILING, GOOD, INSIDE, NEAR, OUTSIDE, RATES, SLOW, TWICE, Scenario
from benchmarks.gate.simulate import Setting, Simulated, simulate, steady
from benchmarks.report import Figure, percentile_interval

from slicewise.pool.rollout.evidence import wald_bound
from slicewise.pool.rollout.gate import Policy

DISTURBED_RATES = (2, 20, 200)
_DISTURBED_SECONDS = 300
_RIVALS = 20_000


def seeded(*what: object) -> np.random.Generator:
    """Return a source of random numbers of its own for each cell, so that a cell does not depend on those before it."""
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


def share_interval(hits: float, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `of`."""
    z2 = 1.96**2
    middle = (hits + z2 / (2 * of)) / (1 + z2 / of)
    half = 1.96 * math.sqrt(hits * (1 - hits) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def cells(rollouts: int) -> Iterable[tuple[Figure, tuple[str, ...]]]:
    """Yield, for each traffic and version, a figure and a row for people. A read a second, the share grows, an hour at most.

    The interval of a chance that is bounded exactly ends at that bound, as long as the two agree.
    """
    most = {scenario: most_aborted(scenario) for scenario in INSIDE} | {
        scenario: most_promoted(scenario) for scenario in TWICE
    }
    for rate in RATES:
        for scenario in (*INSIDE, *TWICE, *OUTSIDE):
            draw = seeded(rate, scenario.name)
            plain = aborts(scenario, rate, 0.05, _RIVALS, draw)
            ours = simulate(steady(scenario, GOOD), Setting(rate), Policy(), rollouts, draw)
            yield _cell(rate, scenario, ours, plain, most.get(scenario, 1.0)), _row(rate, scenario, ours, plain)


def _cell(rate: int, scenario: Scenario, ours: Simulated, plain: Aborts, most: float) -> Figure:
    inside = scenario in INSIDE
    value = ours.share(-1 if inside else 1)
    low, high = share_interval(value, len(ours.verdict))
    note = f"aborted {ours.share(-1):.2%}, promoted {ours.share(1):.2%}, undecided {ours.share(0):.2%}"
    return Figure(
        f"{'false abort' if inside else 'promotion'} at {rate}/s, {scenario.name}",
        value,
        "",
        0.01 if inside or scenario in TWICE else None,
        peer="plain rule after 60 s",
        peer_value=plain.naive if inside else 1 - plain.naive,
        ci=(low, min(high, most) if low <= most else high),
        note=note,
    )


def _row(rate: int, scenario: Scenario, ours: Simulated, plain: Aborts) -> tuple[str, ...]:
    way = -1 if ours.share(-1) > ours.share(1) else 1
    seconds, requests = ours.median(ours.seconds, way), ours.median(ours.requests, way)
    shares = [f"{100 * value:.2f}" for value in (ours.share(-1), ours.share(1), ours.share(0))]
    when = [f"{value:,.0f}" if math.isfinite(value) else "-" for value in (seconds, requests)]
    others = [f"{100 * value:.1f}" for value in (plain.naive, plain.peeking, plain.five_of_twelve)]
    return (str(rate), scenario.name, *shares, *when, *others)


def compared(rollouts: int) -> Iterable[Figure]:
    """Yield medians to abort with the comparison, the share staying at 5 %, one canary request a second on average."""
    for stable, goal in ((GOOD, 1.25), (NEAR, None)):
        for scenario in (*SLOW, *FAILING):
            share = "slow" if scenario in SLOW else "failed"
            bound = wald_bound(getattr(scenario, share), LIMITS[share], RISK[share])
            setting = Setting(20, grow=False, window=10**6, deadline=int(4 * bound) + 60)
            simulated = simulate(
                steady(scenario, stable), setting, Policy(), rollouts, seeded("compared", stable.name, scenario.name)
            )
            took = np.where(simulated.verdict == -1, simulated.requests, 10**6).tolist()
            low, high = percentile_interval(took, 50)
            yield Figure(
                f"median to abort / Wald's bound with the comparison, {scenario.name}, stable {stable.name.split(':')[0]}",
                simulated.median(simulated.requests, -1) / bound,
                "x",
                goal if bound >= 30 else None,
                ci=(low / bound, high / bound),
                note=f"{rollouts} rollouts; bound {bound:.1f}",
            )
    for scenario in (SLOW[-1], FAILING[-1]):
        simulated = simulate(steady(scenario, GOOD), Setting(200), Policy(), rollouts, seeded("harm", scenario.name))
        requests = simulated.median(simulated.requests, -1)
        yield Figure(
            f"canary requests before the abort / those of the plain rule, 200/s, {scenario.name}",
            requests / (200 * 0.05 * WINDOW),
            "x",
            0.05,
            note=f"{requests:.0f} requests, {simulated.median(simulated.seconds, -1):.0f} s; read once a second",
        )


def disturbances(rollouts: int) -> Iterable[Figure]:
    """Yield false aborts of a version like stable under disturbances that both share, and under each one's own."""
    for kind in KINDS:
        for rate in DISTURBED_RATES:
            yield _disturbance(kind, rate, rollouts, shared=True)
    for rate in DISTURBED_RATES:
        yield _disturbance("clustered", rate, rollouts, shared=False)


def _disturbance(kind: str, rate: int, rollouts: int, *, shared: bool) -> Figure:
    setting = Setting(rate, deadline=_DISTURBED_SECONDS)
    found = []
    for policy in (Policy(), Policy(compare_with_stable=False)):
        draw = seeded(kind, rate, shared)
        shares = disturbed(kind, _DISTURBED_SECONDS, rollouts, draw, shared=shared)
        found.append(simulate(shares, setting, policy, rollouts, draw).share(-1))
    return Figure(
        f"false abort at {rate}/s, {kind}, {'stable the same' if shared else 'each version for itself'}",
        found[0],
        "",
        0.01 if shared else None,
        peer="without the comparison",
        peer_value=found[1],
        ci=share_interval(found[0], rollouts),
        note="near; five minutes" + ("" if shared else "; no promise"),
    )
