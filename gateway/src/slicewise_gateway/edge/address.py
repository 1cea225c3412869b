"""The address of the Redis, from a mounted Secret: it may come, change and go while the edge runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from slicewise_gateway.edge.store import Store

_LOOK_SECONDS: Final = 2.0


async def follow_address(path: Path, store: Store, seen: str | None) -> None:
    """Let the store use the Redis that the file names, until cancelled. `seen`: the address that it uses."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        found = read_address(path)
        if found != seen:
            await store.use(found)
            seen = found


def read_address(path: Path) -> str | None:
    """Return the content of the file; None if it does not exist or is empty."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
