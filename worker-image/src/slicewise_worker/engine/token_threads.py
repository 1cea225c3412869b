"""How many threads compute a step of a single token, tried once before a worker serves.

Prompts are bound by arithmetic, and faster with each thread. A single token reads all weights once: where fewer threads read as fast
as memory is, as with two threads on one core, the others only make each operation wait for one more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context

LEAST: Final = 4
"""Threads of which half may be enough: two are both needed."""
_TOKENS: Final = 3
"""With either number, in turn, after one that is not counted."""
_SECONDS: Final = 2.0
_GAIN: Final = 0.95
"""Half of the threads have to take less than this part of the time: what is tried on an idle machine serves on a busy one."""


def better(threads: int, took: Mapping[int, Sequence[float]]) -> int:
    """Return `threads` or half of them, whichever takes less; `took`: seconds of tokens, by threads. Pure.

    >>> better(8, {8: [0.020, 0.011], 4: [0.010, 0.010]})
    4
    """
    half = threads // 2
    if min(len(took.get(threads, ())), len(took.get(half, ()))) < _TOKENS - 1:
        return threads
    # The least of each: whatever else runs on the machine makes a token slower, and none faster.
    return half if min(took[half]) < _GAIN * min(took[threads]) else threads


def try_token_threads(context: Context, clock: Callable[[], float] = time.perf_counter) -> int:
    """Let `context` compute single tokens by as many threads as are fastest, and return how many. Its cache is empty before and after.

    Takes no longer than two seconds and one token. Without a clear difference, all threads are kept.
    """
    threads = context.shape.threads
    if threads < LEAST:
        return threads
    batch = Batch(context.shape.batch)
    took: dict[int, list[float]] = {threads: [], threads // 2: []}
    numbers = [threads, *([threads, threads // 2] * _TOKENS)]
    begun = clock()
    for position, number in enumerate(numbers):
        context.set_threads(number, threads)
        batch.clear()
        batch.add(0, (0,), position, output=True)
        start = clock()
        if start - begun > _SECONDS or context.decode(batch):
            break
        context.logits(-1)
        if position:
            took[number].append(clock() - start)
    context.forget(0)
    best = better(threads, took)
    context.set_threads(best, threads)
    return best
