"""The states of a job, as the database has them and as clients see them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a job stands. A final state is never left."""

    QUEUED = "queued"
    """To be claimed."""
    WAITING = "waiting"
    """To be queued at a time: it is tried again later, or was sent with `not_before`. Clients see `queued`."""
    RUNNING = "running"
    """Claimed by a dispatcher, until its lease ends."""
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Not claimed before its time ended."""

    @property
    def shown(self) -> str:
        """What clients see."""
        return State.QUEUED.value if self is State.WAITING else self.value


FINAL: Final = frozenset({State.DONE, State.ERROR, State.CANCELLED, State.EXPIRED})
OPEN: Final = frozenset(State) - FINAL


def seen_as(shown: str) -> tuple[State, ...] | None:
    """Return the states that clients see as `shown`; None where no state is seen so."""
    return tuple(state for state in State if state.shown == shown) or None


def poll_after(state: State, age_seconds: float) -> int:
    """Return the seconds after which to ask again: a quarter of the job's age, so that long jobs are not asked for without end."""
    return 0 if state in FINAL else round(min(max(age_seconds / 4, 1), 30))
