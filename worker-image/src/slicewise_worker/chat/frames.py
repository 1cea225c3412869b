"""Messages between the worker and the process that renders: JSON objects behind their length, over a socket."""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Final

MOST_BYTES: Final = 64 << 20
"""Longest message either way. The longest request body is smaller, and a prompt of this size fits no model's context."""

CPU_SECONDS: Final = 5.0
"""Processor time of one rendering. Ten thousand messages take a tenth of it."""


class FrameError(Exception):
    """The other side closed the connection, was silent until the deadline, or sent what is no message."""


class FrameTooLongError(FrameError):
    """The message is longer than one may be; nothing was sent."""


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send `message`; raises `FrameError`."""
    # A template can make halves of surrogate pairs.
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(data) > MOST_BYTES:
        raise FrameTooLongError(f"a message of {len(data)} bytes is more than {MOST_BYTES}")
    try:
        connection.sendall(len(data).to_bytes(4, "big") + data)
    except OSError as error:
        raise FrameError(str(error)) from error


def receive(connection: socket.socket, seconds: float | None = None) -> dict[str, Any]:
    """Return the next message; raises `FrameError`, also when it has not come whole after `seconds`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    size = int.from_bytes(_read(connection, 4, deadline), "big")
    if size > MOST_BYTES:
        raise FrameError(f"a message of {size} bytes is more than {MOST_BYTES}")
    try:
        message = json.loads(_read(connection, size, deadline).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise FrameError("what came is no JSON") from error
    if not isinstance(message, dict):
        raise FrameError("what came is no JSON object")
    return message


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            if deadline is not None:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
            part = connection.recv(min(size - len(data), 1 << 20))
        except OSError as error:
            raise FrameError(f"nothing came: {error}") from error
        if not part:
            raise FrameError("the connection was closed")
        data += part
    return bytes(data)
