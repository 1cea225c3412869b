"""Deeply nested objects, kept away from everything that recurses: one of a thousand levels ends a JSON parser with RecursionError.

Only a ControllerRevision can be that deep (its data has no schema), and anyone with the right to create one in a served namespace
can give it our labels. Called by `clients/stream.py`.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, Final

DEEPEST: Final = 100
"""Levels of an object that is taken in; a pod template has about 15."""
_LEVELS: Final = 20_000
"""More than the API server takes (10,000)."""
_STACK: Final = 256 << 20


def is_deep(line: bytes) -> bool:
    """Whether a JSON text is nested deeper than `DEEPEST`. Cheap where it cannot be."""
    if line.count(b"{") + line.count(b"[") <= DEEPEST:
        return False
    try:
        return is_deep_value(json.loads(line))
    except RecursionError:
        return True


def is_deep_value(value: Any) -> bool:
    """Whether a JSON value is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [each for items in inner for each in items]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def parse_deep(text: bytes) -> Any:
    """Parse JSON of any depth that the API server takes, on a stack of its own. Blocks; for lists that are deep, which are rare."""
    result: list[Any] = []
    limit, size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    try:
        sys.setrecursionlimit(_LEVELS)
        thread = threading.Thread(target=lambda: result.append(json.loads(text)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if not result:
        raise ValueError("the list is no JSON")
    return result[0]
