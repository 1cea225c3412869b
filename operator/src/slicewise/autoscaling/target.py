"""The target: desired requests a worker, and how many workers that makes. Pure."""

from __future__ import annotations

from math import ceil
from typing import Final

AUTO_USE: Final = 0.7
"""Part of a worker's sequences that `Auto` aims to have busy. The rest takes what comes while further workers start."""


def auto_target(sequences: int) -> float:
    """Return the target of a worker that decodes that many sequences together."""
    return max(1.0, AUTO_USE * sequences)


def workers_for(requests: int, target: float) -> int:
    """Return the workers for that many requests, `target` each."""
    # 14 / 2.8 is a little more than 5 in floating point.
    return max(0, ceil(requests / max(target, 1e-9) - 1e-9))
