"""Telling a job that kills its workers from a pool that is away, where no other job is answered.

After a break the dispatcher is unsure: it tries with an empty request whether the pool answers before it sends a job, and sends one
alone. A job that breaks then has broken a pool that answered just before. Where several jobs do so one after the other, the pool is at
fault and not they.
"""

from __future__ import annotations

from typing import Final

_MOST_AT_FAULT: Final = 3
"""Jobs that break one after the other without an answer between them; with more of them none is held to be at fault."""


class Suspicion:
    """What a dispatcher knows of the breaks since the last answer."""

    def __init__(self) -> None:
        self._broke: set[bytes] = set()

    @property
    def unsure(self) -> bool:
        """Whether the pool may be away."""
        return bool(self._broke)

    def answered(self) -> None:
        """Note that a job had an answer."""
        self._broke.clear()

    def broke(self, job_id: bytes, *, alone: bool) -> bool:
        """Note that a job had none, and return whether it is at fault. `alone`: sent alone to a pool that answered just before."""
        self._broke.add(job_id)
        return alone and len(self._broke) <= _MOST_AT_FAULT
