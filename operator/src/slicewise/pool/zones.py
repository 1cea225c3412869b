"""Zones: how many workers each one gets, and the floor that nothing may go below.

Each floor holds first; what is left goes to the emptiest zone that has room. Called by `plan_pool`; pure.

Worked examples (three zones, room for two workers each):

    replicas 3, floor 1        → a 1, b 1, c 1
    replicas 4, floor 1        → a 2, b 1, c 1
    replicas 2, floor 1        → a 1, b 1, c 1   (the floor wins; CapacityAvailable says so)
    replicas 3, b has no room  → a 1, b 1, c 1   with floor 1 (b waits), a 2, b 0, c 1 without
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slicewise.api.v1alpha1 import PoolSpec
from slicewise.pool.slices import ZoneSlices


@dataclass(frozen=True, slots=True)
class ZoneTarget:
    """The desired workers of one zone."""

    zone: str
    desired: int
    """Workers, over both revisions, not counting a surge."""
    floor: int
    """Ready workers that nothing of ours goes below, and `minAvailable` of the zone's budget."""


def wanted_replicas(spec: PoolSpec, zone_count: int, scaled: int | None = None) -> int:
    """Return the desired number of workers of the pool. `scaled`: the number by load, where that decides.

    `suspend` and `replicas: 0` mean none. Without `replicas` (nor `autoscaling.minReplicas`) it is one per zone. An explicit
    floor wins over a smaller number.
    """
    if spec.suspend or spec.replicas == 0:
        return 0
    floor = spec.zones.min_available or 0
    asked = spec.replicas if scaled is None else scaled
    if asked is None:
        asked = spec.autoscaling.min_replicas if spec.autoscaling and spec.autoscaling.min_replicas else zone_count
    return max(asked, floor * zone_count)


def spread(
    spec: PoolSpec,
    slices: Sequence[ZoneSlices],
    present: Mapping[str, int] | None = None,
    staying: Mapping[str, int] | None = None,
    *,
    moving: bool = False,
    scaled: int | None = None,
) -> tuple[ZoneTarget, ...]:
    """Return the target of each zone, in the order of `slices`.

    `present`: zone → workers that are there now; of two equally empty zones the one that already has workers gets the next,
    so that nothing is moved without need. First come those of the revision that stays (`staying`). While one revision replaces
    another (`moving`), a zone with a free slice comes next: a pool that leaves zones empty goes there rather than wait for a slice.
    Where no zone has room the workers are asked for all the same, evenly: they wait, the condition says so, and a node autoscaler sees
    them. `scaled`: the number by load, where that decides.
    """
    if not slices:
        return ()
    total = wanted_replicas(spec, len(slices), scaled)
    explicit = spec.zones.min_available
    have, stays = present or {}, staying or {}
    floor = explicit if explicit is not None and total > 0 else 0
    shares = {entry.zone: floor for entry in slices}
    for _ in range(total - floor * len(slices)):
        zone = min(
            slices,
            key=lambda entry: (
                shares[entry.zone] >= entry.room,
                shares[entry.zone],
                -max(0, stays.get(entry.zone, 0) - shares[entry.zone]),
                moving and not shares[entry.zone] and not entry.free,
                -max(0, have.get(entry.zone, 0) - shares[entry.zone]),
            ),
        ).zone
        shares[zone] += 1
    return tuple(
        ZoneTarget(
            entry.zone,
            desired=shares[entry.zone],
            floor=floor if explicit is not None else min(1, shares[entry.zone]),
        )
        for entry in slices
    )


def budget_floors(spec: PoolSpec, targets: Sequence[ZoneTarget], planned: Mapping[str, int]) -> dict[str, int]:
    """Return zone → the floor of its budget, for the zones of the pool and for those that it is leaving.

    `planned`: zone → replicas over all revisions once this pass is carried out. A zone without desired workers (it left
    `spec.zones.names`, its nodes carry another name now, others have more room) keeps a floor as long as it has replicas: until
    others have come up, evictions could take the last ready worker of the pool.
    """
    floors = {target.zone: target.floor for target in targets}
    least = 1 if spec.zones.min_available is None else spec.zones.min_available
    for zone, replicas in planned.items():
        if replicas > 0:
            floors[zone] = max(floors.get(zone, 0), min(least, replicas))
    return floors


def hold_back_shrinking(
    targets: Sequence[ZoneTarget],
    asked: Mapping[str, int],
    serving: Mapping[str, int],
    room: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return zone → replicas to ask for now, on the way to the targets.

    Growing happens at once. Shrinking first takes workers that do not serve; serving ones go only as far as the pool then
    still has all its desired workers serving, so a move between zones brings up the new worker first.

    `asked`: zone → replicas asked for so far (zones that have left the pool included); `serving`: zone → serving workers; `room`: zone →
    workers for which there are slices, where that is known. A worker without a slice is not waited for.
    """
    wanted = {target.zone: target.desired for target in targets}
    can_be = sum(min(count, max(0, (room or {}).get(zone, count))) for zone, count in wanted.items())
    # The last that serves is no spare: its successor may be without a slice, such as while a canary holds the one that was free.
    spare = max(0, sum(serving.values()) - max(can_be, min(1, sum(wanted.values()))))
    # Workers of zones that have left hold the very slices that the others lack, so those are waited for.
    leaving = max(0, sum(serving.values()) - sum(wanted.values()))
    result: dict[str, int] = {}
    for zone in [*wanted, *(zone for zone in asked if zone not in wanted)]:
        goal, now, up = wanted.get(zone, 0), asked.get(zone, 0), serving.get(zone, 0)
        keep = goal
        if now > goal and up > goal:
            gives = min(spare if zone in wanted else leaving, up - goal)
            spare, leaving = spare - gives, max(0, leaving - gives)
            keep = up - gives
        result[zone] = max(goal, min(now, keep)) if now > goal else goal
    return result
