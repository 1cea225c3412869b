"""The target: desired requests a worker, and how many workers that makes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final, Self

AUTO_USE: Final = 0.7
"""Part of a worker's sequences that `Auto` has busy while few requests run. The rest takes what comes while further workers start."""
SPARES: Final = (1.0, 2.0)
"""Standard deviations that `Auto` keeps spare while many requests run, to choose from."""
MOST_SPARE: Final = max(SPARES)


@dataclass(frozen=True, slots=True)
class Target:
    """Desired requests a worker."""

    each: float
    """Requests a worker at most; with `sequences`, while few run."""
    sequences: float | None = None
    """What a worker decodes together, where `Auto` may use more of it; None where the target is the user's."""

    @classmethod
    def auto(cls, sequences: int) -> Self:
        """Return the target of workers that decode that many sequences together."""
        return cls(max(1.0, AUTO_USE * sequences), float(sequences))

    def workers(self, requests: float, spare: float = MOST_SPARE) -> int:
        """Return the workers for that many requests.

        Requests that come by chance vary by the square root of their mean: many need less spare room each than few do. That is the
        square-root staffing of call centres (Halfin and Whitt, Operations Research 29, 1981). `spare`: of such deviations.
        """
        # 14 / 2.8 is a little more than 5 in floating point.
        found = ceil(requests / max(self.each, 1e-9) - 1e-9)
        if self.sequences is not None and requests > 0:
            found = min(found, ceil((requests + spare * sqrt(requests)) / self.sequences - 1e-9))
        return max(0, found)

    @property
    def carried(self) -> float:
        """What a worker takes before requests wait."""
        return self.each / AUTO_USE if self.sequences is None else self.sequences

    @property
    def words(self) -> str:
        """What each worker should have, as a clause."""
        if self.sequences is None:
            return f"{self.each:g} requests each at most"
        return f"{self.sequences:g} requests each at a time, some of that spare"
