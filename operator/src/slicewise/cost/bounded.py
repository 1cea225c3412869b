"""Bounds of amounts that come from outside. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Final

MOST_AMOUNT: Final = 1e9
"""Of money, for one price or one budget."""
MOST_COUNT: Final = 2.0**53
"""Up to here a float is an exact count."""


def counter(value: object) -> float | None:
    """Return what a counter shows, from 0 to 2⁵³; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value) if 0 <= value <= MOST_COUNT else None
