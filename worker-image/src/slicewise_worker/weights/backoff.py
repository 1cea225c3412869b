"""How long to wait before the next try, and when to stop trying. No I/O: the clock and the randomness are arguments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_FIRST_SECONDS = 0.5


class Patience:
    """Capped exponential back-off with full jitter, within a budget that every new byte renews.

    The budget counts the seconds since the last progress, not the number of tries: a source that is away for five minutes
    is waited for, one that never comes back ends in a clear error.
    """

    def __init__(
        self,
        budget: float,
        cap: float,
        *,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._budget = budget
        self._cap = cap
        self._now = now
        self._draw = draw
        self._since = now()
        self._tries = 0

    def progressed(self) -> None:
        """Something arrived: reset the count."""
        self._since = self._now()
        self._tries = 0

    def next_delay(self, asked: float | None = None) -> float | None:
        """Seconds to wait before the next try, None when patience is over.

        `asked` is what the server wants us to wait (Retry-After): a lower bound, up to the cap.
        """
        if self._now() - self._since >= self._budget:
            return None
        limit = min(self._cap, _FIRST_SECONDS * 2**self._tries)
        self._tries = min(self._tries + 1, 30)
        delay = self._draw(limit / 2, limit)
        return max(delay, min(asked, self._cap)) if asked else delay
