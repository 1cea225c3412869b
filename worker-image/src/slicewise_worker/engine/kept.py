"""What stays in the cache after a sequence has ended, and which slot a new one takes. Pure: no llama.cpp, no clock.

A slot that is free keeps the tokens of the sequence it held until another sequence needs it. A new one begins with the longest beginning
that it shares with what its own tenant has in the cache, computed with the same adapter. What other tenants have is never looked at:
how soon a first token comes must not tell what others have asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from slicewise_worker.engine.callers import Owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SHARED: Final = 16
"""Tokens that are worth it. Each prompt of a model begins with the same token or two, which says nothing and saves nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Cached:
    """What `slot` has in the cache, computed with `adapter`: `tokens`, int32, from the first position on.

    `read` of them are there already, the others come: of a sequence that reads its prompt.
    """

    slot: int
    owner: Owner
    adapter: str | None
    tokens: NDArray[np.int32]
    read: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A `slot` for a new sequence, which begins with `shared` tokens of what `source` has, or will have where it is still reading."""

    slot: int
    source: int | None = None
    shared: int = 0


def common(first: NDArray[np.int32], second: NDArray[np.int32]) -> int:
    """Return how many tokens both begin with."""
    length = min(len(first), len(second))
    different = first[:length] != second[:length]
    return int(different.argmax()) if different.any() else length


class Slots:
    """The slots that no sequence holds, and what they keep: the least recently used first."""

    def __init__(self, count: int) -> None:
        self._empty = set(range(count))
        self._kept: dict[int, Cached] = {}

    def __len__(self) -> int:
        return len(self._empty) + len(self._kept)

    @property
    def kept_tokens(self) -> int:
        """Tokens that stay for those who may come."""
        return sum(kept.read for kept in self._kept.values())

    def free(self, slot: int) -> None:
        """Take back a slot in which nothing is left."""
        self._empty.add(slot)

    def keep(self, kept: Cached) -> None:
        """Take back a slot with all that it has in the cache."""
        self._kept[kept.slot] = kept

    def take(
        self,
        owner: Owner,
        adapter: str | None,
        tokens: NDArray[np.int32],
        running: Iterable[Cached] = (),
        *,
        shares: bool = True,
    ) -> Taken:
        """Return the slot for a sequence that is to read `tokens`; one must be free. The last of them is left to be read.

        `running` are the sequences that hold slots. With `shares` a beginning can be used by several at a time; else a slot is
        only taken over. A conversation that goes on takes over what it had; what has only its beginning in common is left to those
        who had it, while another slot is free.
        """
        wanted = tokens[:-1]
        own = [one for one in self._kept.values() if (one.owner, one.adapter) == (owner, adapter)]
        if shares:
            own += [one for one in running if (one.owner, one.adapter) == (owner, adapter)]
        found = [(common(one.tokens, wanted), one) for one in own]
        # What can be had at once before what is still being read, and of that what was used last.
        shared, best = max(found, key=lambda pair: (pair[0], pair[0] <= pair[1].read), default=(0, None))
        if best is None or shared < LEAST_SHARED:
            return Taken(self._room(()))
        if best.slot in self._kept and (2 * shared >= best.read or not shares or len(self) == 1):
            del self._kept[best.slot]
            return Taken(best.slot, best.slot, shared)
        return Taken(self._room((best.slot,)), best.slot, shared)

    def _room(self, spared: Sequence[int]) -> int:
        """Return an empty slot, else what the tenant that keeps the most has not used for the longest time."""
        if self._empty:
            # Those that run stay side by side where they can, which is what llama.cpp computes at once.
            self._empty.remove(slot := min(self._empty))
            return slot
        counts = Counter(one.owner for one in self._kept.values())
        slots = [slot for slot in self._kept if slot not in spared]
        slot = max(slots, key=lambda slot: counts[self._kept[slot].owner])
        del self._kept[slot]
        return slot
