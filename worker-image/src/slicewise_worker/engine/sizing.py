"""How long a context and how many sequences a memory has room for, by what a dry run says of each choice. Pure.

What is asked for is never far above the room: the dry run itself takes memory for the cells of a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

STEP: Final = 256
"""llama.cpp rounds the cells of a sequence up to this."""
USUAL_CONTEXT: Final = 4096
"""Tokens that each sequence gets before there are more sequences, where both are to be chosen."""
USUAL_SEQUENCES: Final = 16
"""Sequences that there are before each gets more tokens."""
MOST_SEQUENCES: Final = 256
MOST_TOKENS: Final = 1 << 25
"""Of all sequences together: llama.cpp keeps 50 bytes for each beside the cache."""
GOOD_USE: Final = 0.97
"""Of the room: with less, other numbers of sequences are tried, whose contexts may leave less over."""
_OTHERS: Final = 3
"""Numbers of sequences that are tried on either side."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens of one sequence, and sequences."""

    context: int
    sequences: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is given, None where it is to be chosen, and the longest context of the model."""

    context: int | None
    sequences: int | None
    trained: int


def choose(wish: Wish, room: int, total: Callable[[Sizes], int]) -> Sizes | None:
    """Return the sizes of at most `room` bytes by `total`, None where not even the smallest fit."""

    @cache
    def size(context: int, sequences: int) -> int:
        return total(Sizes(context, sequences))

    def longest(sequences: int, low: int) -> int | None:
        high = max(low, min(wish.trained, MOST_TOKENS // sequences))
        return _largest(low, high, STEP, room, lambda context: size(context, sequences))

    def most(context: int, low: int, high: int) -> int | None:
        high = max(low, min(high, MOST_TOKENS // context))
        return _largest(low, high, 1, room, lambda sequences: size(context, sequences))

    least, usual = min(STEP, wish.trained), min(USUAL_CONTEXT, wish.trained)
    if wish.sequences is not None:
        context = wish.context or longest(wish.sequences, least)
        return None if context is None else Sizes(context, wish.sequences)
    if wish.context is not None:
        sequences = most(wish.context, 1, MOST_SEQUENCES)
        return None if sequences is None else Sizes(wish.context, sequences)
    sequences = most(usual, 1, USUAL_SEQUENCES)
    context = longest(sequences or 1, usual if sequences else least)
    if sequences is None or context is None:
        return None if context is None else Sizes(context, 1)
    if context == wish.trained:
        sequences = most(context, sequences, MOST_SEQUENCES) or sequences
    best, too_many = Sizes(context, sequences), MOST_SEQUENCES + 1
    for by in range(1, _OTHERS + 1):
        for other in (sequences + by, sequences - by):
            if size(best.context, best.sequences) >= GOOD_USE * room:
                return best
            if not 1 <= other < too_many:
                continue
            found = longest(other, max(least, usual // 2 // STEP * STEP))
            if found is None:
                # What is far above the room is not asked for: llama.cpp would lay out its records.
                too_many = other
            elif size(found, other) > size(best.context, best.sequences):
                best = Sizes(found, other)
    return best


def _largest(low: int, high: int, step: int, room: int, size: Callable[[int], int]) -> int | None:
    """Return the largest of `low`, `low` + `step`, … and `high` whose size is within `room`; None where that of `low` is not.

    `size` grows with its argument, nearly in a straight line.
    """

    def value(index: int) -> int:
        return min(low + index * step, high)

    good, over = 0, -(-(high - low) // step) + 1
    at_good, at_over = size(low), None
    if at_good > room:
        return None
    slope, tries = 0.0, 0
    while over - good > 1:
        tries += 1
        if tries == 1:
            index = good + 1
        elif at_over is not None and tries % 3 == 0:
            # Never more than three times the steps of a search by halves, whatever the line is like.
            index = (good + over) // 2
        else:
            ahead = (room - at_good) / slope if slope > 0 else over
            index = min(max(good + int(min(ahead, over)), good + 1), over - 1)
        found = size(value(index))
        if found > room:
            over, at_over = index, found
            slope = (found - at_good) / (index - good)
        else:
            slope = (found - at_good) / (index - good)
            good, at_good = index, found
    return value(good)
