"""Idle slots that get a token so that a step is computed at once: which they are, and that what they keep stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.binding import api
from slicewise_worker.engine.gaps import between
from slicewise_worker.engine.llama import Context, recent_log
from slicewise_worker.engine.request import Finished, Generation, Sampling

GREEDY = Sampling(temperature=0)
KEPT = "The worker reads the file, and then it says what a slice is. " * 2


class Seen(Context):
    """A context that remembers which slots were in its steps, those of idle ones apart."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.order: list[list[int]] = []
        self.idle: set[int] = set()
        self.left = 0
        """How often an idle slot had more than before."""

    def decode(self, batch: Batch) -> int:
        self.order.append(batch._sequence[: batch.size].tolist())
        before = {slot: api.llama_memory_seq_pos_max(self._memory, slot) for slot in self.padding.slots}
        self.idle.update(before)
        result = super().decode(batch)
        self.left += sum(api.llama_memory_seq_pos_max(self._memory, slot) != last for slot, last in before.items())
        return result


@given(st.sets(st.integers(0, 30), max_size=12), st.integers(0, 5))
def test_runs_are_joined_where_few_slots_are_between_them(slots: set[int], most: int) -> None:
    idle = between(slots, most)
    assert idle == sorted(idle)
    assert not slots.intersection(idle)
    joined = sorted([*slots, *idle])
    for before, after in pairwise(joined):
        assert after - before == 1 or after - before > most + 1, "what is apart is further apart than that"
    for slot in idle:
        assert min(slots) < slot < max(slots)


def test_what_an_idle_slot_keeps_stays_as_it_is(tiny: Path, bench: Callable[..., Any]) -> None:
    engine = bench(tiny, context_type=Seen, context_tokens=16384, sequences=4)
    context = engine.engine._context
    first, one = engine.submit(Generation(engine.tokens("first"), 10_000, GREEDY), tenant="a")
    kept, _ = engine.submit(Generation(engine.tokens(KEPT), 8, GREEDY), tenant="b")
    assert isinstance(kept.end(), Finished)
    # What was kept is left to its tenant while another slot is free.
    second, two = engine.submit(Generation(engine.tokens("second"), 10_000, GREEDY), tenant="c")
    assert first.started.wait(60)
    assert second.started.wait(60)
    steps = len(context.order)
    engine.settle(lambda: len(context.order) > steps + 20)
    again, ticket = engine.submit(Generation(engine.tokens(KEPT), 8, GREEDY), tenant="b")
    assert isinstance(again.end(), Finished)
    engine.engine.cancel([one, two])
    assert 1 in context.idle, "it was between the two that ran"
    assert context.left == 0
    assert (again.text, ticket.times.cached) == (kept.text, len(engine.tokens(KEPT)) - 1)
    assert all(order == sorted(order) for order in context.order), "llama.cpp computes at once what is in order"


def test_sequences_are_compared_with_their_own_tokens_only(tiny: Path, bench: Callable[..., Any]) -> None:
    bench(tiny)
    told = [line for line in recent_log() if "kv_unified" in line]
    assert told[-1].endswith("false")


def test_a_full_slot_gets_no_token(tiny: Path, bench: Callable[..., Any]) -> None:
    engine = bench(tiny, context_type=Seen, context_tokens=256, sequences=3)
    context = engine.engine._context
    batch = Batch(context.shape.batch)
    for position in range(0, 256, 32):
        batch.clear()
        batch.add(1, [5] * 32, position, output=False)
        assert Context.decode(context, batch) == 0
    batch.clear()
    context.padding.add(batch, 1)
    assert (batch.size, len(context.padding.slots)) == (0, 0)
    context.padding.add(batch, 2)
    assert (batch.size, len(context.padding.slots)) == (1, 1)
