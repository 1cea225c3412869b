"""How deep and how long a JSON value of a client may be. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic_core import PydanticCustomError

MOST_LEVELS: Final = 64
"""That any value may have."""


def check_size(value: Any, kind: str, *, levels: int, characters: int) -> None:
    """Refuse a value with more than `levels` (at most `MOST_LEVELS`) or, as JSON, `characters`; raises `PydanticCustomError` of `kind`."""
    if _levels(value) > levels:
        raise PydanticCustomError(kind, f"must have at most {levels} levels")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise PydanticCustomError(kind, "must be JSON, without NaN and Infinity") from error
    if size > characters:
        raise PydanticCustomError(kind, f"must have at most {characters} characters as JSON")


def _levels(value: Any) -> int:
    """Return the levels of a JSON value, by a stack of its own; those beyond the most that anything may have are not counted."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, level = stack.pop()
        deepest = max(deepest, level)
        if deepest > MOST_LEVELS:
            break
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        stack += [(each, level + 1) for each in inner]
    return deepest
