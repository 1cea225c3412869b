"""What a worker has counted, from the Prometheus text of its `/metrics`.

By a few patterns over lines: a parser of the whole text takes milliseconds for each worker. What cannot be read makes the whole answer
unknown, never a 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from slicewise.cost.bounded import counter
from slicewise.cost.work import OTHER, Tokens, WorkerCounts

MOST_NAMES: Final = 60
"""Tenants that are read of one worker: ours show 52."""
_VALUE: Final = r" ([-+.0-9eEINnaf]{1,32})$"
_PREFIX: Final = "^slicewise_worker_"
_ANSWERED: Final = re.compile(_PREFIX + r'requests_total[{]finish_reason="(?:stop|length)"[}]' + _VALUE, re.MULTILINE)
_BUSY: Final = re.compile(_PREFIX + "step_seconds_sum" + _VALUE, re.MULTILINE)
_STARTED: Final = re.compile(_PREFIX + "generated_tokens_total" + _VALUE, re.MULTILINE)
_NAME: Final = 'tenant="([-._a-zA-Z0-9]{0,64})"'
_TOKENS: Final = re.compile(
    _PREFIX + r'tenant_tokens_total[{]kind="(prompt|cached|generated)",' + _NAME + "[}]" + _VALUE, re.MULTILINE
)
_BEGUN: Final = re.compile(_PREFIX + r"tenant_queue_seconds_count[{]" + _NAME + "[}]" + _VALUE, re.MULTILINE)
_MEMORY: Final = re.compile(_PREFIX + r'device_memory_bytes[{]kind="used"[}]' + _VALUE, re.MULTILINE)


def parse_counts(text: str) -> WorkerCounts | None:
    """Return what the worker has counted since its start; None for a text that is not a worker's, or has a number out of range."""
    busy, started = _numbers(_BUSY, text), _numbers(_STARTED, text)
    answered, memory = _numbers(_ANSWERED, text), _numbers(_MEMORY, text)
    tenants = _tenants(text)
    if not busy or not started or answered is None or memory is None or tenants is None:
        return None
    # A worker without a GPU, or without NVML, shows 0.
    return WorkerCounts(sum(answered), sum(busy), tenants, max(memory, default=0.0) or None)


def _numbers(pattern: re.Pattern[str], text: str) -> list[float] | None:
    found = [_number(value) for value in pattern.findall(text)]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def _number(text: str) -> float | None:
    try:
        return counter(float(text))
    except ValueError:
        return None


def _tenants(text: str) -> dict[str, Tokens] | None:
    counts: dict[str, dict[str, float]] = {}
    for kind, name, value in _samples(text):
        number = _number(value)
        if number is None:
            return None
        key = name if name in counts or len(counts) < MOST_NAMES else OTHER
        kinds = counts.setdefault(key, {})
        kinds[kind] = kinds.get(kind, 0.0) + number
    return {name: Tokens(**kinds) for name, kinds in counts.items()}


def _samples(text: str) -> Iterator[tuple[str, str, str]]:
    yield from _TOKENS.findall(text)
    for name, value in _BEGUN.findall(text):
        yield "requests", name, value
