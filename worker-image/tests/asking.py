"""Requests on connections of their own, which a test may leave open or break."""

from __future__ import annotations

import json
import socket
from typing import Any

ENDLESS = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0}
SHORT = {"model": "chat", "prompt": "Hello", "max_tokens": 3}


def open_stream(worker, body: dict[str, Any]) -> socket.socket:
    """Send `body` on a connection of its own and return once the answer has begun."""
    host, port = worker.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    data = json.dumps(body).encode()
    connection.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    )
    if body.get("stream"):
        assert connection.recv(12) == b"HTTP/1.1 200"
    return connection
