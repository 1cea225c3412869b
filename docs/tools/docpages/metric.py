"""A metric as a program serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SERIES: Final = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, type, labels and meaning of a metric."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    def series(self) -> tuple[str, ...]:
        """Return the names of its series."""
        return tuple(self.name + suffix for suffix in _SERIES.get(self.kind, ("",)))
