"""How far the pool's workers are while none serves, for the clients that waited without success. The agent writes the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

WAKING_FILE: Final = "waking.json"
_LIMIT: Final = 4096
_LONGEST_SECONDS: Final = 300
"""A time farther off is not said: a clock is wrong, or the cold start was."""
_STATES: Final = {
    "NoWorker": "the pool has no worker yet",
    "WaitingForSlice": "a worker waits for a free slice",
    "LoadingWeights": "a worker is loading the weights",
    "Starting": "a worker is starting",
    "Failing": "the workers do not start",
}


@dataclass(frozen=True, slots=True)
class Waking:
    """What the operator says."""

    state: str = ""
    percent: int | None = None
    ready_at: int | None = None
    """Seconds since the epoch, by a cold start that was measured."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a file says; nothing where it cannot be read."""
        try:
            found: Any = json.loads(text)
        except ValueError:
            return cls()
        if not isinstance(found, dict) or not isinstance(found.get("state"), str):
            return cls()
        percent = _whole(found.get("percent"))
        return cls(
            found["state"], percent if percent is not None and percent <= 100 else None, _whole(found.get("readyAt"))
        )

    def seconds(self, now: float) -> int | None:
        """Return the seconds until a worker serves; None where that is not known, or the time is over."""
        left = None if self.ready_at is None else round(self.ready_at - now)
        return left if left is not None and 0 < left <= _LONGEST_SECONDS else None

    def words(self, now: float) -> str:
        """Return the message for a client."""
        state = _STATES.get(self.state)
        if state is None:
            return "No worker can take the request now; try again later."
        share = "" if self.percent is None else f", {self.percent} % are loaded"
        left = self.seconds(now)
        again = "try again later" if left is None else f"by its last starts it serves in about {left} s"
        return f"No worker can take the request now: {state}{share}; {again}."


def read_waking(directory: Path) -> Waking:
    """Return what the agent last wrote there; nothing without a file."""
    try:
        with (directory / WAKING_FILE).open(encoding="utf-8") as file:
            return Waking.parse(file.read(_LIMIT))
    except (OSError, ValueError):
        return Waking()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
