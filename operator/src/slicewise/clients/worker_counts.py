"""What a worker has counted, from the Prometheus text of its `/metrics`.

Line by line, by one pattern, and only the lines of these metrics: a parser of the whole text takes ten times as long, and all workers are
read each half minute. What cannot be read makes the whole answer unknown, never a 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from slicewise.cost.bounded import counter
from slicewise.cost.work import OTHER, Tokens, WorkerCounts

MOST_NAMES: Final = 60
"""Tenants that are read of one worker: ours show 52."""
_ANSWERED: Final = frozenset({"stop", "length"})
_LINE: Final = re.compile(
    "slicewise_worker_(?:"
    "(?P<busy>step_seconds_sum)|(?P<started>generated_tokens_total)"
    '|requests_total[{]finish_reason="(?P<ending>[a-z]{1,20})"[}]'
    '|(?P<memory>device_memory_bytes[{]kind="used"[}])'
    '|tenant_tokens_total[{]kind="(?P<kind>prompt|cached|generated)",tenant="(?P<owner>[-._a-zA-Z0-9]{0,64})"[}]'
    '|tenant_queue_seconds_count[{]tenant="(?P<asker>[-._a-zA-Z0-9]{0,64})"[}]'
    ") (?P<value>[-+.0-9eEINnaf]{1,32})"
)


@dataclass(slots=True)
class _Sums:
    answered: float = 0.0
    busy: float | None = None
    memory: float | None = None
    started: bool = False
    tenants: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, found: re.Match[str], number: float) -> None:
        if found["busy"]:
            self.busy = number
        elif found["started"]:
            self.started = True
        elif found["memory"]:
            # A worker without a GPU, or without NVML, shows 0.
            self.memory = number or None
        elif found["ending"]:
            self.answered += number if found["ending"] in _ANSWERED else 0.0
        elif found["kind"]:
            self._add_tenant(found["owner"], found["kind"], number)
        else:
            self._add_tenant(found["asker"], "requests", number)

    def _add_tenant(self, name: str, kind: str, number: float) -> None:
        key = name if name in self.tenants or len(self.tenants) < MOST_NAMES else OTHER
        kinds = self.tenants.setdefault(key, {})
        kinds[kind] = kinds.get(kind, 0.0) + number


def parse_counts(text: str) -> WorkerCounts | None:
    """Return what the worker has counted since its start; None for a text that is not a worker's, or has a number out of range."""
    sums = _Sums()
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        number = _number(found["value"])
        if number is None:
            return None
        sums.add(found, number)
    if sums.busy is None or not sums.started:
        return None
    tenants = {name: Tokens(**kinds) for name, kinds in sums.tenants.items()}
    return WorkerCounts(sums.answered, sums.busy, tenants, sums.memory)


def _number(text: str) -> float | None:
    try:
        return counter(float(text))
    except ValueError:
        return None
