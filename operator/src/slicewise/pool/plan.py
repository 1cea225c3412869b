"""plan_pool: from a pool and what is observed to what is to be done. The table of contents of the domain.

Pure: no I/O, no clock. The order is fixed: what must go, what is asked, where the rollout stands, how many workers where, the
manifests, the conditions. Called by `controller/reconcile.py` once a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from slicewise.api.duration import duration_seconds
from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.children import ChildrenInput, KeptRevision, build_children
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.pod_template import build_pod_template
from slicewise.pool.conditions.fallback import fallback_events
from slicewise.pool.demand import Demand, read_demand
from slicewise.pool.disruption import blocked_drains, deletions, drain_surge
from slicewise.pool.facts import Facts
from slicewise.pool.fallback import Fallback, plan_fallback
from slicewise.pool.gateway import desired_gateway, is_programmed
from slicewise.pool.going import choose_workers
from slicewise.pool.holding import LOOK_SECONDS, Holding, hold_budgets
from slicewise.pool.observed import ObservedPool
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.placement import closed_nodes
from slicewise.pool.report import build_report, invalid_report
from slicewise.pool.revision import find_revision, kept_revisions, next_number
from slicewise.pool.rollout.ending import find_ending
from slicewise.pool.rollout.events import rollout_events
from slicewise.pool.rollout.machine import advance, next_deadline
from slicewise.pool.rollout.replicas import plan_replicas
from slicewise.pool.rollout.request import read_request
from slicewise.pool.rollout.standing import is_gone, waits_for_gone, with_stable
from slicewise.pool.rollout.state import Phase, RolloutState, read_state, recorded_weight
from slicewise.pool.rollout.traffic import canary_weight, has_arrived, traffic
from slicewise.pool.rollout.unplaced import UNPLACED_SECONDS, without_unfit
from slicewise.pool.rollout.verdict_record import Measured
from slicewise.pool.rollout.view import RolloutView
from slicewise.pool.scaling import shown
from slicewise.pool.slices import NoProfile
from slicewise.pool.waking import describe_waking
from slicewise.pool.zones import budget_floors, hold_back_shrinking, wanted_replicas

FETCH_POLL_SECONDS = 5.0
"""How often progress is read while weights are being downloaded."""
FOREIGN_POLL_SECONDS = 30.0
"""How often slices held by foreign pods are counted again while a worker has no place; their end sends no event."""


def plan_pool(pool: InferencePool, observed: ObservedPool, now: float) -> PoolPlan:
    """Return the plan for `pool`, whose spec has been validated. `now`: seconds since the epoch.

    A transition asks for the next pass at once: it acts there, and no event tells a pass of what it has written itself.
    """
    before = state = read_state(observed.status)
    demand = read_demand(pool, observed, state)
    if isinstance(demand, NoProfile):
        facts = Facts(pool, observed, state, no_profile=demand, weight=recorded_weight(observed.status))
        report = build_report(facts, now)
        return PoolPlan(
            None, report.status.write(), deletions(observed.pods), report.events, requeue_after=FOREIGN_POLL_SECONDS
        )
    stored = [item.hash for item in observed.revisions]
    state = with_stable(
        state, demand.wanted, {name: sum(demand.workers.serving(name).values()) for name in stored}, now
    )
    # A pool that sleeps holds requests like one whose workers start, so that its gateway is the same before and after.
    has_workers = any(target.desired for target in demand.targets) or not demand.targets or demand.asleep
    serving = _serving(demand, state)
    fallback = _fallback(pool, observed, demand, now)
    gateway = desired_gateway(
        pool,
        observed,
        traffic(state, serving),
        has_workers=has_workers,
        fallback=fallback is not None and (fallback.wanted or demand.asleep) and not serving.get(state.canary or ""),
    )
    if demand.scaling is not None:
        gateway = replace(gateway, waking=describe_waking(demand.workers.pods, demand.scaling.cold_start))
    arrived = has_arrived(state, is_programmed(observed, gateway), now)
    view = _view(pool, demand, state, observed.measured, arrived=arrived, now=now)
    held = _held_back(demand, state)
    replicas = plan_replicas(state, view, _with_surge(held, demand, state, observed))
    planned = replicas.planned()
    floors = budget_floors(pool.spec, demand.targets, planned if replicas.moves else replicas.stable)
    asked, chosen = choose_workers(replicas, held, floors, demand, state)
    budgets = observed.with_budgets(floors)
    holding = hold_budgets(asked, chosen, (state.stable, state.canary), demand.workers, budgets, now)
    after = advance(state, view, replicas, now)
    facts = Facts(
        pool,
        observed,
        after,
        demand=demand,
        gateway=gateway,
        floors=floors,
        blocked_drains=blocked_drains(
            floors, demand.stable_slices, demand.workers, observed.nodes, demand.workers.refused(now - UNPLACED_SECONDS)
        ),
        blocked_zones=replicas.step.blocked if replicas.step else (),
        releasing_zones=replicas.step.releasing if replicas.step else (),
        weight=canary_weight(after, _serving(demand, after)) if after.canary else None,
        waits_for=waits_for_gone(after, view, now),
        arrived=arrived,
        deletions=(*deletions(observed.pods), *holding.deletions),
        fallback=fallback,
    )
    report = build_report(facts, now)
    switched = None if fallback is None else fallback.switched_to
    return PoolPlan(
        children=build_children(_children_input(facts, state, holding, gateway)),
        status=report.status.write(),
        deletions=facts.deletions,
        events=(*rollout_events(state, after), *fallback_events(facts), *report.events),
        ending=find_ending(before, after, now),
        requeue_after=0.0 if after != state or switched else _requeue(facts, view, holding, now),
        scaling=shown(demand.scaling, observed.load),
        gateway_version=gateway.config.version,
        drains_blocked=Counter(drain.zone for drain in facts.blocked_drains),
        fallback_switch=switched,
    )


def _view(
    pool: InferencePool, demand: Demand, state: RolloutState, measured: Measured, *, arrived: bool, now: float
) -> RolloutView:
    workers, canary = demand.workers, state.canary
    ways = demand.exchangeable
    rollout = pool.spec.rollout
    deadline = duration_seconds(rollout.progress_deadline)
    return RolloutView(
        pool=pool.metadata.name,
        wanted=demand.wanted,
        targets=demand.targets,
        stable=without_unfit(
            state,
            workers.replacing(
                canary,
                state.stable,
                demand.stable_slices,
                exchangeable=ways,
                closed=closed_nodes(demand.stable_nodes),
                no_place=demand.no_place,
            ),
            now,
        ),
        canary=without_unfit(
            state,
            workers.replacing(
                state.stable,
                canary,
                demand.slices,
                exchangeable=ways,
                closed=closed_nodes(demand.nodes),
                no_place=demand.no_place,
            ),
            now,
        ),
        canary_placed=workers.is_placed(canary, state.zone),
        canary_refusal=workers.refusal(canary),
        canary_crash=workers.crash(canary),
        paused=rollout.paused,
        request=read_request(pool.metadata.annotations.get(ANNOTATION_REQUEST)),
        gate=rollout.canary,
        measured=measured,
        arrived=arrived,
        stable_gone=is_gone(state, now),
        stable_late_in=workers.late_in(state.stable, deadline, now),
        progress_deadline=deadline,
    )


def _fallback(pool: InferencePool, observed: ObservedPool, demand: Demand, now: float) -> Fallback | None:
    scaled = None if demand.scaling is None else demand.scaling.desired
    targets = demand.targets
    desired = sum(target.desired for target in targets) if targets else wanted_replicas(pool.spec, 1, scaled)
    serves = any(pod.serving for pod in demand.workers.pods)
    return plan_fallback(pool, observed.status, serves=serves, desired=desired, now=now)


def _serving(demand: Demand, state: RolloutState) -> dict[str, int]:
    """Revision → workers that take requests."""
    live = [name for name in (state.stable, state.canary) if name is not None]
    return {name: sum(demand.workers.serving(name).values()) for name in live}


def _held_back(demand: Demand, state: RolloutState) -> dict[str, int]:
    """Zone → replicas of the stable revision while no rollout moves workers, without a surge."""
    canary = demand.workers.placed(state.canary)
    room = {entry.zone: entry.room + entry.kept - canary[entry.zone] for entry in demand.stable_slices if entry.known}
    workers = demand.workers
    return hold_back_shrinking(demand.targets, workers.asked(state.stable), workers.serving(state.stable), room)


def _with_surge(held: Mapping[str, int], demand: Demand, state: RolloutState, observed: ObservedPool) -> dict[str, int]:
    """Zone → replicas of the stable revision while no rollout moves workers, from those without a surge."""
    return drain_surge(held, demand.workers.asked(state.stable), demand.stable_slices, demand.workers, observed.nodes)


def _children_input(facts: Facts, state: RolloutState, holding: Holding, gateway: DesiredGateway) -> ChildrenInput:
    pool, observed, demand, replicas = facts.pool, facts.observed, facts.demand, holding.replicas
    if demand is None:
        raise ValueError("children of a pool without a profile")
    live: dict[str, Mapping[str, int]] = {str(state.stable): replicas.stable}
    if state.canary is not None:
        live[state.canary] = replicas.canary
    running = demand.workers.revisions()
    stored = kept_revisions(observed.revisions, {*live, *running}, pool.spec.rollout.revision_history_limit)
    revisions = [KeptRevision(item.hash, item.number, item.data, live.get(item.hash, {})) for item in stored]
    if demand.wanted in live and find_revision(stored, demand.wanted) is None:
        data = _render(pool, observed, demand)
        revisions.append(KeptRevision(demand.wanted, next_number(observed.revisions), data, live[demand.wanted]))
    return ChildrenInput(
        pool=pool,
        revisions=tuple(revisions),
        live=tuple(live),
        floors=facts.floors,
        operator_namespace=observed.installation.operator_namespace,
        gateway=gateway,
        installation=observed.installation,
        fallback_replicas=0 if facts.fallback is None else facts.fallback.replicas,
        holds=holding.holds,
    )


def _render(pool: InferencePool, observed: ObservedPool, demand: Demand) -> Mapping[str, Any]:
    """What is stored of a new revision: the pod template as this version renders it, and what it was made from."""
    template = build_pod_template(pool, demand.wanted, demand.profile.resource, observed.installation)
    return {"inputs": demand.inputs, "resource": demand.profile.resource, "template": template}


def _requeue(facts: Facts, view: RolloutView, holding: Holding, now: float) -> float | None:
    waits = [next_deadline(facts.state, view, now), LOOK_SECONDS if holding.holds else None]
    waits.append(None if facts.fallback is None else facts.fallback.wait)
    if any(pod.fetch is not None and not pod.fetch.done for pod in facts.observed.pods):
        waits.append(FETCH_POLL_SECONDS)
    if (
        facts.missing
        or any(pod.waiting_reason == "Unschedulable" for pod in facts.workers)
        or facts.blocked_zones
        or facts.blocked_drains
        or (facts.state.phase is Phase.PLACING and facts.state.zone is None)
    ):
        waits.append(FOREIGN_POLL_SECONDS)
    # No event tells of it: the node and the pod stay as they are.
    counts = (pod.created_at + UNPLACED_SECONDS - now for pod in facts.workers if pod.unplaced)
    waits += [wait for wait in counts if wait > 0]
    return min((wait for wait in waits if wait is not None), default=None)


def plan_invalid(messages: Sequence[str], observed: ObservedPool, generation: int, now: float) -> PoolPlan:
    """Return the plan for a spec that breaks a rule: touch no child, say what is wrong.

    `messages`: one a mistake, from `parse_pool`. `generation`: the generation that carries them.
    """
    report = invalid_report(messages, observed.status, generation, now)
    return PoolPlan(None, report.status.write(), deletions(observed.pods), report.events)
