"""Durations as users write them: Go's notation, such as `90s`, `15m` or `1h30m`.

Kept as text in the models, read where seconds are needed. Units: h, m, s, ms; Go's us and ns have no use here.
"""

from __future__ import annotations

import re
from typing import Final

DURATION_PATTERN: Final = r"^([0-9]{1,6}([.][0-9]{1,3})?(h|m|s|ms))+$"
"""One pattern for Python's `re` and CEL's RE2. Six digits a term and 16 characters in all stay below Go's 292 years."""

DURATION_LENGTH: Final = 16
"""Most characters of a duration."""

_TERM: Final = re.compile(r"([0-9]+(?:[.][0-9]+)?)(ms|h|m|s)")
_WHOLE: Final = re.compile(DURATION_PATTERN)
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def is_duration(text: str) -> bool:
    """Return whether `text` is a duration greater than zero."""
    return len(text) <= DURATION_LENGTH and _WHOLE.fullmatch(text) is not None and re.search("[1-9]", text) is not None


def duration_seconds(text: str) -> float:
    """Return the length in seconds of a duration such as `1h30m`. Raises ValueError with the offending text."""
    if not is_duration(text):
        raise ValueError(f"'{text}' is not a duration: write a number with a unit, such as 600ms, 90s, 15m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _TERM.findall(text))
