"""Reading a form with a file: part by part, so that no more than one chunk of it is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from slicewise_jobs.decisions.batch import read_expiry
from slicewise_jobs.decisions.body import RefusedError
from slicewise_jobs.store.files import CHUNK_BYTES

FIELDS: Final = ("purpose", "expires_after[anchor]", "expires_after[seconds]")
_MOST_FIELD: Final = 1024
_MOST_PARTS: Final = 16
_PART_SECONDS: Final = 60.0
_LONGEST_NAME: Final = 255
AddChunk = Callable[[int, bytes], Awaitable[None]]


@dataclass(slots=True)
class Form:
    """What a form said beside the file, and how long the file is."""

    filename: str = ""
    bytes: int | None = None
    """None: no file came."""
    fields: dict[str, str] = field(default_factory=dict)

    def purpose(self) -> str:
        """Return what the file is for. Raises RefusedError."""
        purpose = self.fields.get("purpose")
        if purpose is None:
            raise RefusedError("'purpose' is missing.", code="missing_required_parameter", param="purpose")
        if purpose != "batch":
            raise RefusedError("'purpose' is batch: other files are of no use here.", param="purpose")
        return purpose

    def expiry(self) -> float | None:
        """Return the seconds for which the file is kept, None where the form says nothing. Raises RefusedError."""
        anchor, seconds = (self.fields.get(name) for name in FIELDS[1:])
        if anchor is None and seconds is None:
            return None
        return read_expiry({"anchor": anchor, "seconds": seconds}, "expires_after")


def check_is_form(request: web.Request) -> None:
    """Raise RefusedError where a body is no form."""
    if request.content_type != "multipart/form-data":
        raise RefusedError("The body is a form: multipart/form-data.", code="unsupported_media_type", status=415)


async def read_form(request: web.Request, most_bytes: int, add_chunk: AddChunk) -> Form:
    """Return what a form says; its file goes to `add_chunk`. Raises RefusedError."""
    form = Form()
    try:
        reader = MultipartReader(request.headers, request.content)
        for _ in range(_MOST_PARTS):
            async with asyncio.timeout(_PART_SECONDS):
                part = await reader.next()
            if part is None:
                return form
            await _read_part(form, part, most_bytes, add_chunk)
    except TimeoutError as error:
        raise RefusedError("The body did not arrive in time.", code="body_too_slow", status=408) from error
    except (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError, web.HTTPException) as error:
        # What the library raises for forms that are none.
        raise RefusedError("The body is not a whole form.", code="invalid_form") from error
    raise RefusedError("The form has too many parts.", code="invalid_form")


async def _read_part(form: Form, part: object, most_bytes: int, add_chunk: AddChunk) -> None:
    if not isinstance(part, BodyPartReader) or part.name is None:
        raise RefusedError("A part of the form has no name, or is a form itself.", code="invalid_form")
    if part.headers.get("Content-Encoding") or part.headers.get("Content-Transfer-Encoding", "binary") not in {
        "binary",
        "8bit",
        "7bit",
    }:
        raise RefusedError(
            "A part of the form is encoded: send it as it is.", code="invalid_form", param=part.name[:80]
        )
    if part.name == "file":
        if form.bytes is not None:
            raise RefusedError("The form has two files.", code="invalid_form", param="file")
        form.filename, form.bytes = _name(part.filename), 0
        async for chunk in _chunks(part, most_bytes):
            await add_chunk(form.bytes // CHUNK_BYTES, chunk)
            form.bytes += len(chunk)
        return
    if part.name not in FIELDS or part.name in form.fields:
        raise RefusedError(
            f"There is no field '{part.name[:80]}', or it is there twice.",
            code="unknown_parameter",
            param=part.name[:80],
        )
    text = b"".join([piece async for piece in _pieces(part, _MOST_FIELD, part.name)])
    form.fields[part.name] = text.decode(errors="replace")


async def _chunks(part: BodyPartReader, most_bytes: int) -> AsyncIterator[bytes]:
    """Yield chunks of one size; the last one may be shorter."""
    held = bytearray()
    async for piece in _pieces(part, most_bytes, "file"):
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


async def _pieces(part: BodyPartReader, most_bytes: int, name: str) -> AsyncIterator[bytes]:
    size = 0
    while True:
        async with asyncio.timeout(_PART_SECONDS):
            piece = await part.read_chunk(64 << 10)
        if not piece:
            if not part.at_eof():
                continue
            return
        size += len(piece)
        if size > most_bytes:
            raise RefusedError(
                f"'{name}' is larger than {most_bytes} bytes.", code="file_too_large", param=name, status=413
            )
        yield piece


def _name(text: str | None) -> str:
    """Return a name that can be stored and shown: the last part of a path, without what is not printable."""
    last = (text or "file").replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable())[:_LONGEST_NAME] or "file"
