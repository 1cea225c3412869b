"""Each revision's share of the requests, as Envoy runs it: both read the same file, which the agent writes.

Which revision answers what is not in the cache is decided by Envoy alone. A look-up needs a revision as well, and draws one by
the same shares: so entries of a canary are given in its share, and those of an aborted one no more at all. What goes on to
the workers is split after the look-up and independently of it, so the canary gets exactly its share of that, of the same mix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SHARES_FILE: Final = "rtds.json"
_WEIGHT: Final = "slicewise.weight.rev-"
_ANSWERS: Final = "slicewise.answers.rev-"
_TTL: Final = "slicewise.cache.ttl_seconds"
_HOLD: Final = "slicewise.hold.seconds"


@dataclass(frozen=True, slots=True)
class Shares:
    """What the operator has decided about the revisions."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """Revision to its weight."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Revision to the digest of what its answers depend on besides the request."""
    ttl_seconds: float | None = None
    """How long an answer is kept. None: not at all."""
    hold_seconds: float | None = None
    """How long a request may wait for a worker. None: as the edge is set."""

    def draw(self, number: float) -> str | None:
        """Return the revision at `number`, 0 ≤ number < 1, of all weights; None where nothing has a weight."""
        left = number * sum(self.weights.values())
        for revision in sorted(self.weights):
            left -= self.weights[revision]
            if left < 0:
                return revision
        return None

    def most_can_go_on(self, workers: Mapping[str, int]) -> bool:
        """Whether at least half of the requests would find a worker. `workers`: revision to its healthy workers."""
        served = sum(weight for revision, weight in self.weights.items() if workers.get(revision, 0) > 0)
        return served > 0 and served * 2 >= sum(self.weights.values())


def parse_shares(text: str) -> Shares:
    """Return what an RTDS file says; nothing where it cannot be read."""
    try:
        layer: dict[str, Any] = json.loads(text)["resources"][0]["layer"]
        weights = {name.removeprefix(_WEIGHT): int(value) for name, value in layer.items() if name.startswith(_WEIGHT)}
        return Shares(
            {revision: weight for revision, weight in weights.items() if weight > 0},
            {
                name.removeprefix(_ANSWERS): value
                for name, value in layer.items()
                if name.startswith(_ANSWERS) and isinstance(value, str) and value
            },
            _seconds(layer.get(_TTL)),
            _seconds(layer.get(_HOLD)),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return Shares()


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


class SharesFile:
    """The shares of this moment. Looking costs one `stat`: an abort holds from the next request on."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / SHARES_FILE
        self._seen: tuple[int, int] | None = None
        self._shares = Shares()

    def current(self) -> Shares:
        """Return what the file says now; empty if it does not exist."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen != self._seen:
                self._shares, self._seen = parse_shares(self._path.read_text(encoding="utf-8")), seen
        except OSError:
            self._shares, self._seen = Shares(), None
        return self._shares
