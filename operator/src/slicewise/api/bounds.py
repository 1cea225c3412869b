"""Bounds of what comes from outside: a count, a word, a line of text. Pure.

Pods, node labels, annotations and stored objects may say anything, by mistake or on purpose. Each value is bounded where it is
read, so nothing behind it (sums, metrics, conditions, terminals) meets a number or a text of any size.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MOST: Final = 2**53
"""The greatest count that is taken: 8 PiB in bytes. Up to here a float, as in metrics, is exact."""
LONGEST_LINE: Final = 512
"""Characters of a sentence that a pod says."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_INVISIBLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""Control characters, marks that turn the direction of writing, lone surrogates: they garble logs and terminals."""


def count(value: object, most: int = MOST) -> int | None:
    """Return a whole number from 0 to `most`; None for anything else (True, 1.5, "1", -1, a number of 401 digits)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= most else None


def word(value: object) -> str | None:
    """Return a CamelCase word of at most 64 characters, as reasons are; `Unknown` for another text, None for none."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "Unknown"


def line(value: object, longest: int = LONGEST_LINE) -> str:
    """Return a text as one line of at most `longest` characters, without control characters; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    return _INVISIBLE.sub(" ", value[: 2 * longest]).strip()[:longest]


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that `text` is; None if it is not one (or is deeply nested)."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
