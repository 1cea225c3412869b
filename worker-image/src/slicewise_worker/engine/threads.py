"""Threads for tokenizing, with a stack of known size: what the system gives by default depends on the machine's limits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

STACK_BYTES = 16 << 20
"""24 times what llama.cpp needs for the longest segment (`segments.py`); only what is used takes memory."""


def prompt_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Return a pool of `count` threads of that stack, all of them started."""
    pool = ThreadPoolExecutor(count, name)
    together = threading.Barrier(count)
    # The size is a setting of the process and read when a thread starts, so all are started before it is put back.
    before = threading.stack_size(STACK_BYTES)
    try:
        started = [pool.submit(together.wait) for _ in range(count)]
    finally:
        threading.stack_size(before)
    for future in started:
        future.result()
    return pool
