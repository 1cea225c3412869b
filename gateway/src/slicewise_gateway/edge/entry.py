"""An answer as it lies in Redis. Pure. Whatever else lies there is not an answer: it is never passed on."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MAGIC: Final = b"slicewise1"
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}s32sI")
HEAD_BYTES: Final = _HEAD.size + 1024
"""An entry is longer than its body by at most this much."""
_KEPT_HEADERS: Final = ("content-type", "cache-control")


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole answer with status 200."""

    headers: Mapping[str, str]
    """Names in small letters."""
    revision: str
    stored: float
    """Seconds since 1970."""
    body: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], revision: str, stored: float, body: bytes) -> Entry:
        """Return the entry for an answer; only headers that say how to read it are kept."""
        return cls({name: headers[name] for name in _KEPT_HEADERS if name in headers}, revision, stored, body)

    def encode(self, key: str) -> bytes:
        """Return the bytes to store under `key`."""
        head = json.dumps([dict(self.headers), self.revision, self.stored]).encode()
        return _HEAD.pack(_MAGIC, _sum(key, head, self.body), len(head)) + head + self.body


def decode(key: str, data: bytes) -> Entry | None:
    """Return the entry that was stored under `key`; None for anything that is not exactly that."""
    if len(data) < _HEAD.size:
        return None
    magic, total, length = _HEAD.unpack_from(data)
    head, body = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
    if magic != _MAGIC or total != _sum(key, head, body):
        return None
    try:
        headers, revision, stored = json.loads(head)
        return Entry({str(name): str(value) for name, value in headers.items()}, str(revision), float(stored), body)
    except (ValueError, TypeError, AttributeError):
        return None


def is_whole(content_type: str, body: bytes) -> bool:
    """Whether an answer that arrived to its end also says that it is one: a worker ends a failed stream without `[DONE]`."""
    if content_type.startswith("text/event-stream"):
        return body.rstrip(b"\r\n").endswith(b"data: [DONE]")
    return content_type.startswith("application/json") and body.rstrip().endswith(b"}")


def _sum(key: str, head: bytes, body: bytes) -> bytes:
    found = hashlib.sha256(key.encode())
    found.update(struct.pack(">I", len(head)))
    found.update(head)
    found.update(body)
    return found.digest()
