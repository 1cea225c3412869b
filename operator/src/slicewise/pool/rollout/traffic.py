"""Traffic: which weight each revision gets, in per cent of the requests. Pure; called with the state that is stored.

The gateway's configuration is a function of this, so a weight changes only after the transition behind it was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slicewise.pool.rollout.state import Phase, RolloutState

ALL: Final = 100
ARRIVES_WITHIN: Final = 15.0
"""Seconds after which a gateway that does not say so is taken to have its weights: it gets them from the API server, not from us."""


def traffic(state: RolloutState, serving: Mapping[str, int]) -> dict[str, int]:
    """Return revision → weight. The weights add up to 100; before the first revision the result is empty.

    `serving`: revision → workers that take requests. Stable comes first. The canary is in it, with 0, from its placing until its
    last worker has gone, so that the gateway knows it beforehand. A revision without a worker gets nothing while the other has one.
    """
    if state.stable is None:
        return {}
    if state.canary is None or state.canary == state.stable:
        return {state.stable: ALL}
    weight = canary_weight(state, serving)
    return {state.stable: ALL - weight, state.canary: weight}


def canary_weight(state: RolloutState, serving: Mapping[str, int]) -> int:
    """Return the per cent of the requests that the canary gets."""
    stable, canary = serving.get(state.stable or "", 0), serving.get(state.canary or "", 0)
    if not canary:
        # If neither serves, requests wait for the revision that will get them.
        return ALL if not stable and state.phase is Phase.PROMOTING else 0
    if not stable:
        return ALL
    match state.phase:
        case Phase.ANALYSING:
            return _within(state.weight or 0)
        case Phase.PROMOTING:
            return max(_within(state.weight or 0), _proportion(canary, stable))
        case Phase.ROLLING_BACK:
            return _while_taken_back(state, canary, stable)
        case _:
            return 0


def has_arrived(state: RolloutState, programmed: bool | None, now: float) -> bool:
    """Whether the gateway has the weights of the stored state, or cannot say so and has had the time.

    `programmed`: whether every gateway pod runs them; None: there is no gateway to ask.
    """
    if programmed is None or programmed:
        return True
    changed = state.step_since or state.phase_since or now
    return not 0 <= now - changed < ARRIVES_WITHIN


def _while_taken_back(state: RolloutState, canary: int, stable: int) -> int:
    """A canary that was given up gets nothing from now on. One that the user takes back from halfway through its promotion
    gives up its weight as stable workers come, because one of them cannot carry what four did.
    """
    if state.abort_reason is not None or stable >= canary:
        return 0
    return min(_within(state.weight or 0), _proportion(canary, stable))


def _proportion(canary: int, stable: int) -> int:
    return min(ALL - 1, max(1, ALL * canary // (canary + stable)))


def _within(weight: int) -> int:
    return max(0, min(ALL, weight))
