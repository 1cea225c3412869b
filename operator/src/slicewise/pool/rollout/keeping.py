"""Keeping: how many ready workers the whole pool keeps through steps of ours, whatever the floors of its zones allow. Pure.

The next worker that serves goes when all but one of the desired workers serve, and the last one of several never goes
before another serves. That holds for a pool of one, too, unless its user has set the floor to 0: that lets the worker go before its
successor is there. Workers that are missing for other reasons (a node is gone, no slice is to be had) are not waited for: what counts
is what can serve once all that is under way has come. Called by `steps.py` and `placing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class ZoneWorkers:
    """What one zone has now."""

    old: int = 0
    """Replicas asked for of the revision that goes."""
    new: int = 0
    """Replicas asked for of the revision that comes."""
    old_serving: int = 0
    new_serving: int = 0
    free: int = 0
    """Slices that a further worker of this pool could take."""
    exchangeable: bool = True
    """Whether a worker that goes leaves a slice that the one that comes can use (both revisions name the same profile)."""
    new_unplaced: int = 0
    """Workers of the revision that comes which wait for a node."""
    short: int = 0
    """Workers of either revision which wait for a slice that is not there."""
    old_idle: int = 0
    """Workers of the revision that goes which hold a slice and take no requests."""
    releasing: int = 0
    """Workers of the pool that terminate, or are about to, and still hold a slice."""
    unfit: bool = False
    """Whether a worker of the revision that comes has long been refused by all nodes beside free slices; `free` is 0 then."""
    room: int | None = None
    """Slices that the pool's workers hold or could take; None where that is not known."""

    @property
    def serving(self) -> int:
        """Workers of both revisions that take requests and stay."""
        return min(self.old_serving, self.old) + min(self.new_serving, self.new)

    def can_serve(self, desired: int) -> int:
        """Return how many workers of `desired` serve here once all that is under way has come."""
        places = desired if self.room is None else min(desired, self.room)
        # One that holds a slice which the revision that comes cannot use is not replaced by what we do. One that holds none is, such as
        # the successor of a worker that was deleted by name: its place is still to be filled, so no other zone gives a worker.
        idle = min(self.old_idle, self.old - min(self.old_serving, self.old))
        return max(self.serving, places - (0 if self.exchangeable else idle))


@dataclass(frozen=True, slots=True)
class Keep:
    """The workers of a pool, over all its zones and those that it is leaving."""

    serving: int
    can_serve: int
    """Of the desired workers: those that serve, or will once all that is under way has come."""
    spares: int
    """Workers that serve and may go before others do; below 1 where none may."""


def keep_of(targets: Sequence[ZoneTarget], workers: Mapping[str, ZoneWorkers]) -> Keep:
    """Return how many workers that serve may go now. `workers`: zone → what it has; zones that leave the pool included."""
    wanted = {target.zone: target.desired for target in targets}
    desired = sum(wanted.values())
    serving = sum(entry.serving for entry in workers.values())
    can_serve = min(desired, sum(entry.can_serve(wanted.get(zone, 0)) for zone, entry in workers.items()))
    keeps_one = desired > 1 or any(target.floor for target in targets)
    return Keep(serving, can_serve, serving - least_serving(can_serve) if keeps_one else serving)


def least_serving(desired: int) -> int:
    """Return how many of `desired` workers serve at least while steps of ours replace one."""
    return max(1, desired - 1)
