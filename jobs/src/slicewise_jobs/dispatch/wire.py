"""Requests to the gateway over connections that stay open: whole bodies both ways, parsed by aiohttp's own parser.

aiohttp's client costs more than all else that a dispatcher does for a short job: redirects, cookies, compression, form data and
traces are prepared for each request, and a job needs none of them.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import ClientPayloadError
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpResponseParser

_CONNECT_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 30.0
"""A connection that was idle for longer may have been closed at the other end."""
_HEAD_BYTES: Final = 64 << 10
_ONE_WRITE: Final = 64 << 10
"""A body up to that size is sent together with its head."""


class NotReachedError(Exception):
    """No connection could be made: nothing was sent."""


class BrokenError(Exception):
    """The connection ended before the answer did, or it brought no HTTP."""


class TooLargeError(Exception):
    """The answer has more bytes than may be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """By any case."""
    body: bytes


class Wire:
    """Connections to one server, as many as there are requests at a time. Use it in one event loop, and `close` it."""

    def __init__(self, base: str, *, most_bytes: int, seconds: float) -> None:
        """`seconds`: how long an answer may take from the moment that its request is sent."""
        parts = urlsplit(base)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._named = parts.netloc.rpartition("@")[2]
        self._most = most_bytes
        self._seconds = seconds
        self._idle: list[_Connection] = []
        self._asking: dict[_Connection, float] = {}
        """Those that wait for an answer, and until when: the oldest first, because all may wait equally long."""
        self._timer: asyncio.TimerHandle | None = None

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer. Cancelling this closes the connection.

        Raises NotReachedError, BrokenError, TooLargeError, and TimeoutError where the whole answer was not there in time.
        """
        head = _head(f"{self._prefix}{path}", {"Host": self._named, **headers, "Content-Length": str(len(body))})
        connection = self._take() or await self._connect()
        self._bound(connection)
        try:
            answer = await connection.ask(head, body)
        except BaseException:
            connection.abort()
            raise
        finally:
            del self._asking[connection]
        if connection.reusable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def close(self) -> None:
        """Close the connections that are idle."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _bound(self, connection: _Connection) -> None:
        """Let a request end in time. One timer serves all of them: one for each would cost more than the request's own bytes."""
        loop = asyncio.get_running_loop()
        self._asking[connection] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._time_out)

    def _time_out(self) -> None:
        loop = asyncio.get_running_loop()
        for connection, until in self._asking.items():
            if until > loop.time():
                self._timer = loop.call_at(until, self._time_out)
                return
            connection.time_out()
        self._timer = None

    def _take(self) -> _Connection | None:
        while self._idle:
            # The one that was used last: where there is less to do, the others grow old, and are closed with the first that has.
            connection = self._idle.pop()
            if connection.reusable and time.monotonic() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self._most), self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            raise NotReachedError(f"no connection within {_CONNECT_SECONDS:g} s") from error
        except OSError as error:
            raise NotReachedError(str(error)) from error
        return connection


class _Connection(BaseProtocol):
    """One connection: a request, its answer, and then the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most_bytes: int) -> None:
        super().__init__(loop)
        self._most = most_bytes
        self._answers = self._parser = _parser(self, loop, most_bytes)
        self._waiting: asyncio.Future[Answer] | None = None
        self._message: Any = None
        self._payload: Any = None
        self._read = 0
        self._last = False
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent."""
        return not self._last and self.transport is not None and not self.transport.is_closing()

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request and return its answer."""
        if self.transport is None:
            raise BrokenError("it was closed")
        self._waiting, self._message, self._payload, self._read = self._loop.create_future(), None, None, 0
        if len(body) <= _ONE_WRITE:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        return await self._waiting

    def time_out(self) -> None:
        """End the request that waits for its answer."""
        self._fail(TimeoutError())

    def abort(self) -> None:
        """Close it at once, with what has not been sent."""
        self._last = True
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._read += len(data)
        if self._waiting is None or self._waiting.done():
            # Nothing was asked.
            self.abort()
            return
        if self._read > self._most + _HEAD_BYTES:
            self._fail(TooLargeError())
            return
        try:
            messages, upgraded, _ = self._answers.feed_data(data)
        except (HttpProcessingError, ClientPayloadError, ValueError) as error:
            self._fail(BrokenError(f"{type(error).__name__}: {error}"))
            return
        for message, payload in messages:
            self._begin(message, payload)
        if upgraded:
            self._fail(BrokenError("it changed the protocol"))
        elif self._payload is not None and self._payload.is_eof():
            self._end()

    def pause_reading(self) -> None:
        """Do nothing: what is larger than it may be closes the connection."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing: it was not paused."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what still waits: an answer without a length ends with its connection."""
        self._last = True
        if self._waiting is not None and not self._waiting.done():
            with suppress(HttpProcessingError, ClientPayloadError, ValueError):
                self._answers.feed_eof()
            whole = exc is None and self._payload is not None and self._payload.is_eof()
            if whole and self._payload.exception() is None:
                self._end()
            else:
                self._fail(
                    BrokenError(f"{type(exc).__name__}: {exc}" if exc else "it was closed before the answer was whole")
                )
        super().connection_lost(exc)

    def _begin(self, message: Any, payload: Any) -> None:
        if 100 <= message.code < 200:
            return
        # A second answer to one request is none of ours.
        self._last = self._last or message.should_close or self._message is not None
        if self._message is None:
            self._message, self._payload = message, payload

    def _end(self) -> None:
        if (error := self._payload.exception()) is not None:
            self._fail(BrokenError(f"{type(error).__name__}: {error}"))
            return
        body = self._payload.read_nowait()
        if len(body) > self._most:
            self._fail(TooLargeError())
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(self._message.code, self._message.headers, body))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.abort()


def _parser(protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, most_bytes: int) -> Any:
    return HttpResponseParser(
        protocol,
        loop,
        most_bytes + _HEAD_BYTES,
        payload_exception=ClientPayloadError,
        response_with_body=True,
        read_until_eof=True,
        # Nothing asks for it.
        auto_decompress=False,
    )


def _head(path: str, headers: Mapping[str, str]) -> bytes:
    text = "".join([f"POST {path} HTTP/1.1\r\n", *[f"{name}: {value}\r\n" for name, value in headers.items()], "\r\n"])
    if text.count("\n") != len(headers) + 2 or text.count("\r") != len(headers) + 2:
        raise ValueError("a header has more than one line")
    return text.encode("ascii")
