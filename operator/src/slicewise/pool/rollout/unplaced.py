"""Unplaced: a worker that fits no node although slices are free, as with a required anti-affinity or too little CPU. Pure.

Slices are all that is counted here; what else the scheduler asks of a node only its refusal tells, and that of a moment ago may be about
slices that have come free since. So a refusal counts once it has lasted. From then on the zone's free slices count as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from slicewise.pool.rollout.keeping import ZoneWorkers
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.rollout.view import RolloutView

UNPLACED_SECONDS: Final = 30.0
"""How long a worker is refused beside a free slice before that slice counts as none for it."""


def look_unplaced(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    """Return `state` with since when a worker of the revision that comes waits beside a free slice."""
    side = view.stable if state.phase is Phase.ROLLING_BACK else view.canary
    if state.canary is None or not any(_waits(entry) for entry in side.values()):
        return replace(state, unplaced_since=None)
    since = state.unplaced_since
    return replace(state, unplaced_since=now if since is None or since > now + 1 else since)


def without_unfit(state: RolloutState, zones: Mapping[str, ZoneWorkers], now: float) -> Mapping[str, ZoneWorkers]:
    """Return `zones` in which the free slices of those where a worker was refused for long count as none."""
    if not is_refused(state, now):
        return zones
    back = state.phase is Phase.ROLLING_BACK
    return {zone: _unfit(has, back=back) if _waits(has) else has for zone, has in zones.items()}


def _unfit(has: ZoneWorkers, *, back: bool) -> ZoneWorkers:
    """`back`: what is taken back is taken back everywhere, also where the stable revision no longer fits. A revision that comes and
    does not fit in one zone takes no worker of the next."""
    fitting = (has.room or 0) - (has.new_unplaced - has.short)
    return replace(has, free=0, unfit=True, room=fitting if back else has.room)


def is_refused(state: RolloutState, now: float) -> bool:
    """Return whether a worker has been refused beside a free slice for `UNPLACED_SECONDS`."""
    return state.unplaced_since is not None and now - state.unplaced_since >= UNPLACED_SECONDS


def seconds_until_refused(state: RolloutState, now: float) -> float | None:
    """Return how long until a refusal counts; None without a refusal, or if it counts already."""
    if state.unplaced_since is None or is_refused(state, now):
        return None
    return max(1.0, state.unplaced_since + UNPLACED_SECONDS - now)


def _waits(has: ZoneWorkers) -> bool:
    """Whether slices are there for more workers than are placed. What is about to be taken is not counted as free."""
    return has.room is not None and has.new_unplaced > has.short and has.releasing == 0
