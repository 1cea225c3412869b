"""How many jobs a dispatcher runs at a time: fewer while the gateway has no room, more again with every answer."""

from __future__ import annotations

from typing import Final

from slicewise_jobs.decisions.limited import Limited

_MOST_PAUSE: Final = 60.0
GATHER: Final = 0.01
"""Seconds from one claim to the next, and from one transaction with results to the next, unless half of the slots wait for it."""
_HALVE_EVERY: Final = 1.0
"""Seconds: refusals that come together count once."""
_SOONEST_LOOK: Final = 0.25
"""Seconds: waits of many jobs that end one after the other cost no query each."""


def look_after(poll: float, due_in: float | None) -> float:
    """Return the seconds until an idle dispatcher looks at the database again: `poll`, or when the next wait ends (`due_in`)."""
    return poll if due_in is None else min(poll, max(_SOONEST_LOOK, due_in))


class Pace:
    """Additive increase, multiplicative decrease, and a pause for as long as the gateway asks. Times are a clock's seconds."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.limit = float(slots)
        """Jobs at a time; the whole part counts."""
        self.paused_until = 0.0
        self.limited = Limited()
        """Tenants that are refused while others are not: they pause alone."""
        self._halved_at = float("-inf")

    def room(self, running: int, now: float) -> int:
        """Return how many more jobs may begin."""
        return 0 if now < self.paused_until else max(0, int(self.limit) - running)

    def gather(self, running: int, claimed_at: float, now: float) -> float:
        """Return the seconds to wait for more room before the next claim.

        Where jobs are short, slots that end close together are filled by one transaction in place of one each.
        """
        enough = self.room(running, now) * 2 >= int(self.limit)
        return 0.0 if enough else max(0.0, claimed_at + GATHER - now)

    def succeeded(self) -> None:
        """Note an answer: a round of answers adds one slot."""
        self.limit = min(float(self._slots), self.limit + 1 / self.limit)

    def refused(self, retry_after: float, now: float) -> None:
        """Note that the gateway had no room and asked to wait."""
        self.paused_until = max(self.paused_until, now + min(retry_after, _MOST_PAUSE))
        if now - self._halved_at >= _HALVE_EVERY:
            self.limit = max(1.0, self.limit / 2)
            self._halved_at = now
