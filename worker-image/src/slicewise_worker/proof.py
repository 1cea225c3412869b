"""That an engine answers on this device: nothing less than a token proves it, or a vector, before a worker serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from slicewise_worker.engine.embedder import Embedder, VectorEvent, Vectors
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Generation, Piece, Sampling

_SECONDS = 300

Deliver = Callable[[list[tuple[Any, Any]]], None]
"""Hands what either engine makes to the `on_event` of whom it is for."""


class StartError(Exception):
    """The worker cannot serve; `reason` is a fixed CamelCase word.

    `facts`: what the operator can act on beside the words, as what the model takes of memory.
    """

    def __init__(self, reason: str, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason, self.facts = reason, facts or {}


def prove(engine: Engine | Embedder) -> None:
    """Let `engine`, which has been started, answer once, and once with each adapter; raises `StartError`."""
    for adapter in (None, *engine.model.adapters):
        _prove(engine, adapter)


def _prove(engine: Engine | Embedder, adapter: str | None) -> None:
    ended = threading.Event()
    last: list[Event | VectorEvent] = []

    def on_event(event: Event | VectorEvent) -> None:
        last.append(event)
        if not isinstance(event, Piece):
            ended.set()

    prompt = engine.model.tokenize("Hello") or (0,)
    deadline = time.monotonic() + _SECONDS
    what = "no token" if adapter is None else f"no token with adapter {adapter!r}"
    if isinstance(engine, Engine):
        engine.submit([Generation(prompt, 1, Sampling(temperature=0), adapter=adapter)], [on_event], deadline)
        close = partial(engine.cancel, [])
    else:
        what = "no vector"
        close = partial(engine.close, engine.submit([prompt[: engine.limits.context_tokens]], on_event, deadline))
    came = ended.wait(_SECONDS)
    close()
    if not came:
        raise StartError(EndReason.NO_TOKEN, f"{what} came out within {_SECONDS} s")
    if isinstance(event := last[-1], Broken):
        raise StartError(EndReason.NO_TOKEN, f"{what} came out: {event.message}")
    if isinstance(event, Vectors) and not (np.isfinite(event.rows).all() and event.rows.any()):
        raise StartError(EndReason.NO_TOKEN, "what came out is no vector: it holds no number, or nothing but zeros")
