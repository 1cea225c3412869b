"""An HTTP/1.1 server whose connections can be made to fail byte by byte: what no well-behaved server library offers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

_PIECE = 64 * 1024


@dataclass
class Fault:
    """What goes wrong with one request. Positions are of the whole file, in bytes."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """Break the connection before this byte."""
    end_at: int | None = None
    """End the answer before this byte as if it were complete."""
    flip_at: int | None = None
    """Send this byte with one bit turned."""
    stop_at: int | None = None
    """Send up to this byte, then nothing more until `gate` is set."""
    gate: asyncio.Event | None = None
    ignore_range: bool = False
    no_length: bool = False
    """Neither a length nor ranges: the end of the connection is the end of the body."""
    claimed_length: int | None = None
    wrong_start: int | None = None
    """Say in Content-Range that the answer starts here."""
    claimed_total: int | None = None
    """Send the whole file as a range of one of so many bytes, without a length of the answer."""
    pause: float = 0
    """Seconds between pieces of 64 KiB."""


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]


class WebServer:
    """Serves `content` at every path. `faults` are used up, one a request; after them all is well."""

    def __init__(self, content: bytes, *, etag: str | None = "") -> None:
        self.content = content
        self.etag = f'"{hashlib.md5(content).hexdigest()}"' if etag == "" else etag
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.body_bytes = 0
        self.port = 0
        self.scheme = "http"
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/model.gguf"

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def starts(self) -> list[int]:
        """The first byte that each request asked for."""
        found = [re.match(r"bytes=(\d+)-", one.headers.get("range", "")) for one in self.requests]
        return [int(match[1]) if match else 0 for match in found]

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=tls)
        self.scheme = "https" if tls else "http"
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await end_all(self._connections)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with noted(self._connections):
            try:
                # Cancelled by `end_all`: asyncio's own callback would log it as an error.
                with contextlib.suppress(asyncio.CancelledError, ConnectionError, ssl.SSLError):
                    await self._one_request(reader, writer)
                    writer.close()
                    await writer.wait_closed()
            finally:
                writer.transport.abort()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            pairs = (line.split(":", 1) for line in head[1:] if ":" in line)
            request = Request(method, target, {name.strip().lower(): value.strip() for name, value in pairs})
            self.requests.append(request)
            await self._answer(request, self.faults.pop(0) if self.faults else Fault(), writer)

    async def _answer(self, request: Request, fault: Fault, writer: asyncio.StreamWriter) -> None:
        if fault.status is not None:
            lines = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
            writer.write(f"HTTP/1.1 {fault.status} X\r\nContent-Length: 0\r\n{lines}\r\n".encode())
            await writer.drain()
            return
        start, status = self._start(request, fault)
        total = len(self.content)
        if start > total or (start == total and status == 206):
            writer.write(f"HTTP/1.1 416 X\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        headers = {"Content-Type": "application/octet-stream", **fault.headers}
        if self.etag:
            headers["ETag"] = self.etag
        if not fault.no_length and fault.claimed_total is None:
            headers["Content-Length"] = str(total - start if fault.claimed_length is None else fault.claimed_length)
        if fault.claimed_total is not None:
            status = 206
            headers["Content-Range"] = f"bytes 0-{fault.claimed_total - 1}/{fault.claimed_total}"
        elif status == 206:
            headers["Content-Range"] = (
                f"bytes {start if fault.wrong_start is None else fault.wrong_start}-{total - 1}/{total}"
            )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\nConnection: close\r\n{lines}\r\n".encode())
        if request.method != "HEAD":
            await self._body(start, fault, writer)

    def _start(self, request: Request, fault: Fault) -> tuple[int, int]:
        asked = re.match(r"bytes=(\d+)-$", request.headers.get("range", ""))
        condition = request.headers.get("if-range")
        if (
            asked is None
            or fault.ignore_range
            or fault.no_length
            or fault.claimed_total is not None
            or (condition and condition != self.etag)
        ):
            return 0, 200
        return int(asked[1]), 206

    async def _body(self, start: int, fault: Fault, writer: asyncio.StreamWriter) -> None:
        content = bytearray(self.content)
        if fault.flip_at is not None:
            content[fault.flip_at] ^= 0x10
        end = next((at for at in (fault.cut_at, fault.end_at) if at is not None), len(content))
        position = start
        while position < end:
            limit = min(end, position + _PIECE)
            if fault.stop_at is not None and limit > fault.stop_at and fault.gate:
                limit = max(position, fault.stop_at)
                if limit == position:
                    await fault.gate.wait()
                    fault.stop_at = None
                    continue
            writer.write(bytes(content[position:limit]))
            await writer.drain()
            self.body_bytes += limit - position
            position = limit
            if fault.pause:
                await asyncio.sleep(fault.pause)
        if fault.cut_at is not None:
            writer.transport.abort()


@contextlib.contextmanager
def noted(connections: set[asyncio.Task[None]]) -> Iterator[None]:
    """Keep the running task in the set for as long as the block runs."""
    task = asyncio.current_task()
    assert task
    connections.add(task)
    try:
        yield
    finally:
        connections.discard(task)


async def end_all(connections: set[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait for their end."""
    for task in (left := list(connections)):
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)  # lets the loop close the sockets that the tasks aborted
