"""Holding: our own scale-down and evictions never take workers of a zone at the same time. Called by `plan_pool`; pure.

A worker that serves goes because others serve. An eviction that was allowed a moment before, or that is allowed while the disruption
controller still counts the worker that we remove, could take one of those others. So a zone's budget is raised first:

    hold     minAvailable = floor + the workers that are to go + strangers; the Deployments stay
    lower    once the disruption controller has seen that, and counts enough workers without those and without strangers
    release  minAvailable = floor, once the removed ones are gone from its count too

From the moment of the first write the Eviction API refuses (its budget "is still being processed") or keeps to the higher number. The
API objects are the memory: the budget carries since when it is held. If the disruption controller does not count (it is slow or
away) nothing can be evicted either, so after `HOLD_SECONDS` our own view is enough, and no hold stays forever. ADR 23.

Strangers are ready pods that the budget counts because of their labels, and that are no workers of ours. Whoever may create pods in the
namespace can make them, so they are believed in one direction only. They raise a hold, so that none is evicted in place of a worker,
and are taken off what is counted, so that none stands in for one: they never lower a floor. They never renew the time since when
a budget is held, so by coming and going they make a step of ours wait for `HOLD_SECONDS`, and no longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from slicewise.manifests.disruption_budget import Hold
from slicewise.pool.observed import ObservedBudget
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.rollout.view import RevisionReplicas
from slicewise.pool.workers import Workers

HOLD_SECONDS: Final = 30.0
"""How long a hold waits for the disruption controller."""
LOOK_SECONDS: Final = 1.0
"""How soon a hold is looked at again, if no event comes before."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the Deployments and the budgets are to be in this pass."""

    replicas: RevisionReplicas
    holds: Mapping[str, Hold]
    """Zone → how its budget is raised."""
    deletions: tuple[PodDeletion, ...] = ()
    """Of the workers that serve and are to be removed by name, those that may go now."""


@dataclass(frozen=True, slots=True)
class _Going:
    """What is to go from one zone."""

    count: int = 0
    """Workers, also those that do not serve yet: they may by the time they are removed."""
    serving: int = 0


def hold_budgets(
    replicas: RevisionReplicas,
    suspects: tuple[PodDeletion, ...],
    revisions: tuple[str | None, str | None],
    workers: Workers,
    budgets: Sequence[tuple[str, int, ObservedBudget | None]],
    now: float,
) -> Holding:
    """Return `replicas` and `suspects` without what cannot go yet, and how the budgets are raised.

    `revisions`: stable and canary. `budgets`: zone, its floor once `replicas` is carried out, and its budget as it is; without a floor
    there is nothing to hold.
    """
    sides = dict(zip(revisions, (dict(replicas.stable), dict(replicas.canary)), strict=True))
    place = {pod.uid: pod.zone for pod in workers.pods}
    leaving = Counter(place[item.uid] for item in suspects)
    holds: dict[str, Hold] = {}
    waiting: set[str] = set()
    for zone, floor, budget in budgets:
        if floor <= 0:
            continue
        going = _going(zone, sides, workers, leaving[zone])
        hold, waits = _hold(budget, going, floor, workers, now)
        if hold is not None:
            holds[zone] = hold
        if waits:
            waiting.add(zone)
    for zone in waiting:
        _stay(zone, sides, workers)
    stable, canary = sides[revisions[0]], sides.get(revisions[1], {}) if revisions[1] is not None else {}
    may_go = tuple(item for item in suspects if place[item.uid] not in waiting)
    return Holding(replace(replicas, stable=stable, canary=canary), holds, may_go)


def _hold(
    budget: ObservedBudget | None, going: _Going, floor: int, workers: Workers, now: float
) -> tuple[Hold | None, bool]:
    """Return how the budget of a zone is raised, and whether what is `going` waits for that."""
    since = None if budget is None else budget.held_since
    if not going.count:
        if budget is None or since is None or _settled(budget, workers, now):
            return None, False
        return Hold(max(budget.least, floor), min(since, now)), False
    least = floor + going.count
    if budget is None or since is None or budget.least < least or since > now + 1:
        return Hold(least + (budget.strangers if budget else 0), now), True
    raised = max(budget.least, least + budget.strangers)
    if budget.least < raised and not _late(budget, now):
        return Hold(raised, since), True
    if _settled(budget, workers, now) and _leaves_enough(budget, going, floor, now):
        return Hold(raised, now), False
    return Hold(budget.least, since), True


def _going(zone: str, sides: Mapping[str | None, Mapping[str, int]], workers: Workers, suspects: int) -> _Going:
    count = serving = suspects
    some = any(pod.zone == zone and not pod.terminating for pod in workers.pods)
    for item in workers.deployments:
        if item.zone != zone or item.revision not in sides:
            continue
        keep = sides[item.revision].get(zone, 0)
        if some and item.replicas > keep:
            count += item.replicas - keep
            serving += max(0, workers.serving(item.revision)[zone] - keep)
    return _Going(count, serving)


def _stay(zone: str, sides: Mapping[str | None, dict[str, int]], workers: Workers) -> None:
    for item in workers.deployments:
        if item.zone == zone and item.revision in sides:
            sides[item.revision][zone] = max(item.replicas, sides[item.revision].get(zone, 0))


def _settled(budget: ObservedBudget, workers: Workers, now: float) -> bool:
    """Whether what was removed before is gone, also from the disruption controller's count; or it does not count at all."""
    if _late(budget, now):
        return True
    here = [pod for pod in workers.pods if pod.zone == budget.zone and not pod.terminating]
    asked = {item.revision: item.replicas for item in workers.deployments if item.zone == budget.zone}
    surplus = any(
        sum(pod.revision == revision and pod.holds_slice for pod in here) > asked.get(revision, 0)
        for revision in {pod.revision for pod in here}
    )
    ours = sum(pod.ready or pod.node_lost for pod in here)
    return not surplus and budget.seen and budget.healthy <= ours + budget.strangers


def _leaves_enough(budget: ObservedBudget, going: _Going, floor: int, now: float) -> bool:
    """Whether the disruption controller counts enough workers besides those that go; where none of these serves, it takes none."""
    return not going.serving or budget.healthy - budget.strangers - going.serving >= floor or _late(budget, now)


def _late(budget: ObservedBudget, now: float) -> bool:
    return budget.held_since is not None and now - budget.held_since >= HOLD_SECONDS
