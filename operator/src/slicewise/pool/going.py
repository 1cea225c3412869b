"""Going: which workers that serve go by name in this pass, and what the Deployments are asked for meanwhile. Called by `plan_pool`; pure.

First those that stand on unlike nodes or devices (`choosing.py`), then the emptiest of a pool that shrinks (`emptiest.py`). Where neither
has one, those on devices that are called unhealthy (`disruption.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from slicewise.pool.choosing import ZonePlaces, choose_by_node
from slicewise.pool.demand import Demand
from slicewise.pool.disruption import ZoneAfter, suspects_to_replace
from slicewise.pool.emptiest import choose_by_load
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.placement import closed_nodes
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.rollout.view import RevisionReplicas


def choose_workers(
    replicas: RevisionReplicas,
    held: Mapping[str, int],
    floors: Mapping[str, int],
    demand: Demand,
    state: RolloutState,
) -> tuple[RevisionReplicas, tuple[PodDeletion, ...]]:
    """Return what the Deployments are asked for, and the workers that serve and go by name.

    `held`: zone → replicas of the stable revision while no rollout moves workers, without a surge. `floors`: zone → floor of its budget.
    """
    free = {entry.zone: entry.free for entry in (demand.slices if replicas.moves else demand.stable_slices)}
    places = {target.zone: ZonePlaces(target.desired, free.get(target.zone, 0)) for target in demand.targets}
    asked, chosen = choose_by_node(replicas, (state.stable, state.canary), demand.workers, demand.no_place, places)
    if state.stable is not None and state.canary is None and not replicas.moves:
        asked, emptiest = choose_by_load(asked, state.stable, demand.workers, demand.no_place)
        chosen += emptiest
    if chosen:
        return asked, chosen
    zones = _zones_after(asked, held, floors, demand, state)
    desired = sum(target.desired for target in demand.targets)
    no_place = demand.no_place | closed_nodes(demand.stable_nodes)
    return asked, suspects_to_replace(desired, zones, state.stable, demand.workers, no_place)


def _zones_after(
    replicas: RevisionReplicas,
    held: Mapping[str, int],
    floors: Mapping[str, int],
    demand: Demand,
    state: RolloutState,
) -> dict[str, ZoneAfter]:
    """Zone → what it has once `replicas` is carried out."""
    planned, free = replicas.planned(), {entry.zone: entry.free for entry in demand.stable_slices}
    stable = demand.workers.staying({state.stable: replicas.stable})
    stays = stable + demand.workers.staying({state.canary: replicas.canary})
    return {
        zone: ZoneAfter(
            planned[zone],
            stays[zone],
            floors.get(zone, 0),
            free=free.get(zone, 0),
            replaced=not replicas.moves and stable[zone] > held.get(zone, 0),
        )
        for zone in planned.keys() | stays.keys()
    }
