"""What may come next in answers that keep to a grammar, found out while llama.cpp evaluates the step before.

Where an answer stands is known as soon as its last token is, so that a mask needs nothing of the step. llguidance lets go of Python's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

from slicewise_worker.engine.request import Constraint


class Ahead:
    """Threads that prepare constraints; none is started before the first constraint comes."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "mask")

    @contextmanager
    def preparing(self, constraints: Sequence[Constraint]) -> Iterator[None]:
        """Prepare `constraints` beside what is done within; no other thread may use them until its end, which waits for all of them."""
        count = min(self._threads, len(constraints))
        begun = [self._pool.submit(_prepare, constraints[first::count]) for first in range(count)]
        try:
            yield
        finally:
            wait(begun)
        for future in begun:
            future.result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def _prepare(constraints: Sequence[Constraint]) -> None:
    for constraint in constraints:
        constraint.prepare()
