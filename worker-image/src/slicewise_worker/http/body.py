"""Bodies within bounds: bytes of one and of all at once, values in one, time to arrive."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

from slicewise_worker.http.errors import ApiError, not_started

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_MARKS = b'",[{'
_NO_MARKS = bytes(set(range(256)) - set(_MARKS))


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of bodies: `most` bytes of one, `together` bytes of all that are read or wait, `values` in one."""

    most: int
    together: int
    values: int
    seconds: float = 30
    """How long one may take to arrive; the gateway has the whole of it before it sends any."""


class ValueCount:
    """Counts the values of a JSON text as it comes, at most, without parsing it.

    A parsed value takes some fifty times its bytes (`[{},{},…]`), so that their number must be bounded, not only the
    bytes. Commas and brackets inside of strings do not count.
    """

    def __init__(self) -> None:
        self.values = 1
        self._inside = 0
        self._backslash = b""

    def feed(self, chunk: bytes) -> None:
        """Count what the next bytes hold."""
        data = self._backslash + chunk
        self._backslash = b""
        if b"\\" in data:
            if (len(data) - len(data.rstrip(b"\\"))) % 2:
                data, self._backslash = data[:-1], b"\\"
            data = _ESCAPE.sub(b"", data)
        parts = data.translate(None, _NO_MARKS).split(b'"')
        self.values += sum(map(len, parts[self._inside :: 2]))
        self._inside = (self._inside + len(parts) - 1) % 2


class BodyReader:
    """Reads bodies; what all of them hold together is bounded."""

    def __init__(self, limits: BodyLimits) -> None:
        self.limits = limits
        self._held = 0

    @contextmanager
    def holding(self) -> Iterator[bytearray]:
        """Give a place for one body; its bytes count until the block ends, and are gone then, whoever still refers to them."""
        data = bytearray()
        try:
            yield data
        finally:
            self._held -= len(data)
            data.clear()

    async def read(self, request: Request, into: bytearray) -> None:
        """Read the body of `request`; raises `ApiError` when it goes over a bound."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                await self._read(request, into)
        except TimeoutError as error:
            message = f"The body did not arrive within {self.limits.seconds:g} s."
            raise ApiError(408, message, code="body_too_slow") from error

    async def _read(self, request: Request, into: bytearray) -> None:
        count = ValueCount()
        async for chunk in request.stream():
            if len(into) + len(chunk) > self.limits.most:
                raise ApiError(413, f"The body is larger than {self.limits.most} bytes.", code="body_too_large")
            if self._held + len(chunk) > self.limits.together:
                message = f"The bodies of other requests take the {self.limits.together} bytes there are for them."
                raise not_started(message, "out_of_body_memory")
            count.feed(chunk)
            if count.values > self.limits.values:
                message = f"The body holds more than {self.limits.values} JSON values."
                raise ApiError(413, message, code="body_too_complex")
            into += chunk
            self._held += len(chunk)
