"""The trailer behind a stream that broke after its status was sent.

By status and end such a stream is a success to a gateway. A connection that breaks would tell it, too, but costs the worker
its place behind the gateway for seconds, and an answer that takes longer than its time is no fault of the worker's.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import h11
from h11._writers import ChunkedWriter
from uvicorn.protocols.http.h11_impl import H11Protocol

BROKEN_TRAILER = "x-slicewise-broken"

_broken = ContextVar("broken", default=False)


def mark_broken() -> None:
    """Say that the answer that this task sends is not whole; its end then carries the trailer."""
    _broken.set(True)


class _Connection(h11.Connection):
    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # the overload says no more
        if type(event) is h11.Data and type(self._writer) is ChunkedWriter:
            # A chunk as h11 writes it, without what it looks up each time: half of its time for a stream.
            return b"%x\r\n%b\r\n" % (len(event.data), event.data) if event.data else b""
        if isinstance(event, h11.EndOfMessage) and _broken.get():
            # The next request of the connection may begin in this task.
            _broken.set(False)
            if self.their_http_version == b"1.1":
                event = h11.EndOfMessage(headers=[(BROKEN_TRAILER, "1")])
        return super().send(event)


class TrailerProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with the trailer. uvicorn sends from the task that answers, so the mark of that task holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.__class__ = _Connection
