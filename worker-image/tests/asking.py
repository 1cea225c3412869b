"""Requests on connections of their own, which a test may leave open or break."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import h11

ENDLESS = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0}
SHORT = {"model": "chat", "prompt": "Hello", "max_tokens": 3}


def begin(
    worker: Any, path: str, body: dict[str, Any], headers: Mapping[str, str] = MappingProxyType({})
) -> socket.socket:
    """Send a request on a connection of its own."""
    host, port = worker.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    data = json.dumps(body).encode()
    lines = {"Host": "w", "Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
    return connection


def open_stream(worker, body: dict[str, Any]) -> socket.socket:
    """Send `body` on a connection of its own and return once the answer has begun, where it is a stream."""
    connection = begin(worker, "/v1/completions", body)
    if body.get("stream"):
        assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def broken_stream(worker: Any, body: dict[str, Any]) -> list[str]:
    """Return the events of a stream that must break after its status, and say so to a gateway at its end.

    On a busy machine the time of one may be over before its first token: then another one is asked for.
    """
    for _ in range(20):
        with begin(worker, "/v1/completions", body | {"stream": True}) as connection:
            if (status := connection.recv(12)) == b"HTTP/1.1 200":
                return _broken_events(connection)
        assert status == b"HTTP/1.1 504"
    raise AssertionError("no stream has begun in its time")


def _broken_events(connection: socket.socket) -> list[str]:
    client, said = h11.Connection(h11.CLIENT), b""
    client.send(h11.Request(method="POST", target="/v1/completions", headers=[("Host", "w"), ("Content-Length", "0")]))
    client.receive_data(b"HTTP/1.1 200")
    client.send(h11.EndOfMessage())
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            client.receive_data(connection.recv(1 << 16))
        elif isinstance(event, h11.Data):
            said += event.data
    assert list(event.headers) == [(b"x-slicewise-broken", b"1")]
    return [line.removeprefix("data: ") for line in said.decode().strip().split("\n\n")]


def request_lines(worker: Any, count: int) -> list[dict[str, Any]]:
    """Return the lines of requests in the log, at least `count`: one is written just after the client has its answer."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in found if line["event"] == "request"]

    worker.until(lambda: len(read()) >= count)
    return read()
