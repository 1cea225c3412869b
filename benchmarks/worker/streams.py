"""A client of many streams at once that costs next to nothing: sockets, one thread, no reading of what comes but for its end."""

from __future__ import annotations

import json
import selectors
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Load:
    """What every stream asks: its own prompt, as text or in tokens, and the tokens of the answer."""

    prompts: tuple[str | tuple[int, ...], ...]
    tokens: int
    temperature: float = 0.0

    @property
    def generated(self) -> int:
        """Tokens of all answers together."""
        return len(self.prompts) * self.tokens


def seconds(url: str, load: Load) -> float:
    """Return how long all streams of `load` take together; raises `RuntimeError` where one is refused or breaks."""
    address = urlsplit(url)
    selector, begin = selectors.DefaultSelector(), time.monotonic()
    for prompt in load.prompts:
        connection = socket.create_connection((address.hostname or "", address.port or 80), timeout=_PATIENCE)
        connection.sendall(request(prompt, load))
        selector.register(connection, selectors.EVENT_READ, bytearray())
    while selector.get_map():
        ready = selector.select(_PATIENCE)
        if not ready:
            raise RuntimeError("no stream went on")
        for key, _ in ready:
            _read(selector, key)
    return time.monotonic() - begin


def _read(selector: selectors.DefaultSelector, key: selectors.SelectorKey) -> None:
    """Read what came on one stream, and let go of it at its end."""
    connection, come = key.fileobj, key.data
    assert isinstance(connection, socket.socket)
    piece = connection.recv(1 << 16)
    come += piece
    ended = b"data: [DONE]" in come[-64:]
    if ended or not piece:
        selector.unregister(connection)
        connection.close()
        if not ended or not come.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a stream broke: {bytes(come[:300])!r} … {bytes(come[-300:])!r}")


def request(prompt: str | tuple[int, ...], load: Load) -> bytes:
    """Return the request of one stream of `load`."""
    body = json.dumps(
        {
            "model": "chat",
            "prompt": prompt,
            "max_tokens": load.tokens,
            "temperature": load.temperature,
            "stream": True,
            # Of llama-server: it would keep beginnings, and this is about what is generated.
            "cache_prompt": False,
        }
    ).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
