"""Clients that take what they can: bodies that never end, connections that say nothing, HTTP/2 frames by hand."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from rig.envoy import CHAT

_PART = b"x" * (1 << 18)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
_END_HEADERS, _ACK = 4, 1


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had, without its program's file, which the kernel can take back."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = {name: int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) for name in ("VmHWM", "RssFile")}  # type: ignore[index]
    return (found["VmHWM"] - found["RssFile"]) << 10


class Flood:
    """Clients that all send a body without its last byte, and hold it until the flood is over."""

    def __init__(self, port: int, count: int, size: int) -> None:
        self._port, self._count, self._size = port, count, size
        self._sending = count
        self._over = asyncio.Event()

    @property
    def is_sent(self) -> bool:
        """Whether no client has more to send; what they sent may still be in the kernel's buffers."""
        return self._sending == 0

    def end(self) -> None:
        """Let all clients go."""
        self._over.set()

    async def run(self) -> Counter[str]:
        """Return the first line of each answer, or how a connection ended; `held` for a body that Envoy still had at the end."""
        return Counter(await asyncio.gather(*(self._client() for _ in range(self._count))))

    async def _client(self) -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            self._sending -= 1
            return "refused"
        try:
            try:
                await self._send(reader, writer)
            finally:
                self._sending -= 1
            line = asyncio.create_task(reader.readline())
            over = asyncio.create_task(self._over.wait())
            await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if line.done():
                return line.result().decode().strip() or "closed"
            line.cancel()
        except ConnectionError:
            return "closed"
        finally:
            writer.close()
        return "held"

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {self._size}\r\n\r\n".encode())
        left = self._size - 1
        with suppress(ConnectionError):
            while left > 0 and not reader.at_eof():
                writer.write(_PART[:left])
                left -= min(left, len(_PART))
                await writer.drain()


class Http2:
    """One HTTP/2 connection, frame by frame, so that it can do what no library lets it do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._window: Counter[int] = Counter({0: 65535})
        self._moved = asyncio.Event()
        self.seen: Counter[int] = Counter()
        """Kinds of frames that came."""
        self.closed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int) -> Http2:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_PREFACE + _frame(SETTINGS, 0, 0, b""))
        return cls(reader, writer)

    def begin(self, stream: int, size: int) -> None:
        """Send the head of a POST with a body of `size` bytes; `stream`: an odd number, each time a higher one."""
        fields = {":method": "POST", ":scheme": "http", ":path": CHAT, ":authority": "x", "content-length": str(size)}
        block = b"".join(b"\0%c%s%c%s" % (len(k), k.encode(), len(v), v.encode()) for k, v in fields.items())
        self._window[stream] = 65535
        self._send(_frame(HEADERS, _END_HEADERS, stream, block))

    def take_back(self, stream: int) -> None:
        self._send(_frame(RST_STREAM, 0, stream, (8).to_bytes(4, "big")))

    async def send_body(self, stream: int, size: int) -> None:
        """Send so many bytes, as the other side lets it, until that is done or the connection is closed."""
        while size > 0 and not self.closed.is_set():
            part = min(size, self._window[0], self._window[stream], 16384)
            if part <= 0:
                self._moved.clear()
                await self._moved.wait()
                continue
            self._window[0] -= part
            self._window[stream] -= part
            size -= part
            self._send(_frame(DATA, 0, stream, _PART[:part]))
            with suppress(ConnectionError):
                await self._writer.drain()

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    def _send(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _read(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(9)
                body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
                self.seen[kind] += 1
                if kind == WINDOW_UPDATE:
                    self._window[stream] += int.from_bytes(body, "big")
                    self._moved.set()
                elif kind == SETTINGS and not flags & _ACK:
                    self._send(_frame(SETTINGS, _ACK, 0, b""))
        self.closed.set()
        self._moved.set()


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body
