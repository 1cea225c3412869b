"""Which idle slots get a token in a step, so that llama.cpp computes the step at once. Pure.

Each sequence has a buffer of its own, and llama.cpp computes together only what is in neighbouring slots: each run of them is a pass over
the weights. A token for an idle slot between two runs costs less than another pass where there are few such slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise


def between(slots: Iterable[int], most: int) -> list[int]:
    """Return the idle slots between the `slots` of a step, in order, where at most `most` are idle side by side."""
    pairs = pairwise(sorted(slots))
    return [idle for before, after in pairs if after - before - 1 <= most for idle in range(before + 1, after)]
