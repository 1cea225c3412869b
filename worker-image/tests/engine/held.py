"""A context that stops in the middle of an answer until a test has done what has to come before its end."""

from __future__ import annotations

import threading
from itertools import count

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context


def held_at(step: int) -> tuple[type[Context], threading.Event]:
    """Return a context whose step of that number waits for the event, with the event."""
    gate, steps = threading.Event(), count(1)

    class Held(Context):
        def decode(self, batch: Batch) -> int:
            if next(steps) == step:
                gate.wait(60)
            return super().decode(batch)

    return Held, gate
