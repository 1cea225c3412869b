"""How a rollout ended, for what counts rollouts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slicewise.pool.rollout.state import GIVEN_UP, Phase, RolloutState


class Outcome(StrEnum):
    """What became of a rollout."""

    PROMOTED = "promoted"
    """All workers are of the new revision."""
    GIVEN_UP = "given_up"
    """The canary was removed, or is being removed."""
    TAKEN_BACK = "taken_back"
    """The spec no longer asked for the new revision."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one rollout."""

    outcome: Outcome
    reason: str
    """Why it was given up; else the outcome's own word in CamelCase."""
    seconds: float | None
    """From its start to the decision; None where its start is not recorded."""


def find_ending(before: RolloutState, after: RolloutState, now: float) -> Ending | None:
    """Return the end of a rollout that lies between two stored states, if one does. `now`: seconds since the epoch."""
    seconds = None if before.started_at is None else max(0.0, now - before.started_at)
    if before.phase is Phase.PROMOTING and after.phase is Phase.IDLE:
        return Ending(Outcome.PROMOTED, "Promoted", seconds)
    if before.canary is None or before.phase in GIVEN_UP:
        return None
    if after.phase in GIVEN_UP and after.abort_reason is not None:
        return Ending(Outcome.GIVEN_UP, after.abort_reason, seconds)
    if after.phase in GIVEN_UP or after.canary != before.canary:
        return Ending(Outcome.TAKEN_BACK, "TakenBack", seconds)
    return None
