"""Envoy's runtime values as the edge needs them: both read the same file, which the agent writes.

Envoy alone decides which revision answers what is not in the cache. A look-up needs a revision as well, and draws one by the same
weights: so clients get entries of a canary by its weight, and none of an aborted one any more. What goes on to the workers is
split after the look-up and independently of it, so the canary gets exactly its part of that, of the same mix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

RUNTIME_FILE: Final = "rtds.json"
_WEIGHT: Final = "slicewise.weight.rev-"
_ANSWERS: Final = "slicewise.answers.rev-"
_TTL: Final = "slicewise.cache.ttl_seconds"
_HOLD: Final = "slicewise.hold.seconds"


@dataclass(frozen=True, slots=True)
class Runtime:
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


def parse_runtime(text: str) -> Runtime:
    """Return what an RTDS file says; nothing where it cannot be read."""
    try:
        layer: dict[str, Any] = json.loads(text)["resources"][0]["layer"]
        weights = {name.removeprefix(_WEIGHT): int(value) for name, value in layer.items() if name.startswith(_WEIGHT)}
        return Runtime(
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
        return Runtime()


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


class RuntimeFile:
    """The values of this moment. Reading costs one `stat`: an abort takes effect from the next request on."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RUNTIME_FILE
        self._seen: tuple[int, int] | None = None
        self._runtime = Runtime()

    def current(self) -> Runtime:
        """Return what the file says now; empty if it does not exist."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen != self._seen:
                self._runtime, self._seen = parse_runtime(self._path.read_text(encoding="utf-8")), seen
        except OSError:
            self._runtime, self._seen = Runtime(), None
        return self._runtime
