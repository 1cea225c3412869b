"""Ids of files, batches and responses as OpenAI's clients see them: a word for the kind, then the 16 bytes that the tables have."""

from __future__ import annotations

from typing import Final

FILE: Final = "file-"
BATCH: Final = "batch_"
RESPONSE: Final = "resp_"
_DIGITS: Final = frozenset("0123456789abcdef")


def show(kind: str, found: bytes) -> str:
    """Return an id as clients see it."""
    return kind + found.hex()


def read(kind: str, text: object) -> bytes | None:
    """Return the id that a client names, None where nothing of that kind can have it."""
    if not isinstance(text, str) or not text.startswith(kind):
        return None
    digits = text[len(kind) :]
    return bytes.fromhex(digits) if len(digits) == 32 and set(digits) <= _DIGITS else None
