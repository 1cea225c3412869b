"""Tokens for idle slots in a step, which are taken out of the cache after it (`gaps.py` says which slots)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.gaps import between

if TYPE_CHECKING:
    from slicewise_worker.engine.batch import Batch


class Padding:
    """Of one context with room for `room` tokens in each slot; `most` idle slots side by side get a token."""

    def __init__(self, memory: Any, room: int, most: int) -> None:
        self._memory, self._room, self._most = memory, room, most
        self.slots: dict[int, int] = {}
        """Idle slots that have a token in the next step, and its position."""

    def idle_between(self, slots: Iterable[int]) -> list[int]:
        """Return the idle slots that are worth a token in a step of `slots`."""
        return between(slots, self._most)

    def add(self, batch: Batch, slot: int) -> None:
        """Give the idle `slot` a token in `batch` where it has room for one. What it keeps stays as it is."""
        position = int(api.llama_memory_seq_pos_max(self._memory, slot)) + 1
        if position < self._room:
            batch.add(slot, (0,), position, output=False)
            self.slots[slot] = position

    def remove(self) -> None:
        """Forget the tokens again, after the step."""
        for slot, position in self.slots.items():
            api.llama_memory_seq_rm(self._memory, slot, position, -1)
        self.slots.clear()
