"""`/v1/files`, as OpenAI's clients ask for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.body import RefusedError, make_id, read_tenant
from slicewise_jobs.http.errors import busy, error_response
from slicewise_jobs.http.intake import BusyError, Intake
from slicewise_jobs.http.listing import list_body, read_list
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_jobs.http.upload import Form, check_is_form, read_form
from slicewise_jobs.store import files
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.files import CHUNK_BYTES, File, Room
from slicewise_jobs.store.trouble import StoreError
from slicewise_jobs.store.watch import Watch

TENANT_HEADER: Final = "x-slicewise-tenant"
_UPLOAD_SECONDS: Final = 3600.0
_HELD: Final = 3 * CHUNK_BYTES
"""Memory of one upload."""
MOST_OF_A_PAGE: Final = 10_000
LIST_QUERY: Final = ("purpose", "order")
"""Parameters of `GET /v1/files` beside those of every list."""
_PAGE: Final = 1000
_ENVELOPE: Final = 16 << 10
"""What a form may have beside its file."""


@dataclass(frozen=True, slots=True)
class Files:
    """The handlers, and what they need."""

    database: Database
    pool: str
    most_bytes: int
    room: Room
    keep_seconds: float
    intake: Intake
    metrics: ApiMetrics
    watch: Watch

    def _whose(self, request: web.Request) -> tuple[str, str]:
        self.watch.check(request.method)
        return self.pool, read_tenant(request.headers.get(TENANT_HEADER))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/files`: 200 once the whole file is durable."""
        outcome = "invalid"
        try:
            whose = self._whose(request)
            check_is_form(request)
            if (request.content_length or 0) > self.most_bytes + _ENVELOPE:
                raise RefusedError(
                    f"'file' is larger than {self.most_bytes} bytes.", code="file_too_large", param="file", status=413
                )
            with self.intake.hold(_HELD):
                outcome, response = await self._upload(request, whose)
                return response
        except BusyError:
            outcome = "busy"
            return busy()
        except StoreError:
            outcome = "unavailable"
            raise
        finally:
            self.metrics.uploads.labels(outcome).inc()

    async def _upload(self, request: web.Request, whose: tuple[str, str]) -> tuple[str, web.StreamResponse]:
        file_id = make_id(time.time(), os.urandom(10))
        # Without a length it counts as the largest one until it is known.
        size = min(request.content_length or self.most_bytes, self.most_bytes)
        if not await files.begin(self.database, whose, file_id, size, self.room):
            words = f"The files of this tenant would be more than {self.room.most_files}, or {self.room.most_bytes} bytes: delete some."
            return "full", error_response(429, "files_full", words, headers={"Retry-After": "60"})
        async with self._given_up(file_id):
            form = await self._read(request, file_id)
            keep = form.expiry() or self.keep_seconds
            now = datetime.now(UTC)
            new = File(file_id, form.purpose(), form.filename, form.bytes or 0, CHUNK_BYTES, now, None)
            found = await files.finish(self.database, whose, new, keep)
        if found is None:
            raise RefusedError("The body did not arrive in time.", code="body_too_slow", status=408)
        return "stored", web.json_response(show_file(found))

    async def _read(self, request: web.Request, file_id: bytes) -> Form:
        async def add(place: int, chunk: bytes) -> None:
            await files.add_chunk(self.database, file_id, place, chunk)

        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                form = await read_form(request, self.most_bytes, add)
        except TimeoutError as error:
            raise RefusedError("The body did not arrive in time.", code="body_too_slow", status=408) from error
        if form.bytes is None:
            raise RefusedError("'file' is missing.", code="missing_required_parameter", param="file")
        return form

    @asynccontextmanager
    async def _given_up(self, file_id: bytes) -> AsyncIterator[None]:
        """Delete an upload that ends early; where that fails, it goes after two hours."""
        try:
            yield
        except BaseException:
            with suppress(StoreError):
                await asyncio.shield(files.forget(self.database, file_id))
            raise

    async def get(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/files/ID`."""
        found = await self._find(request)
        return web.json_response(show_file(found)) if found else _not_there(request)

    async def _find(self, request: web.Request) -> File | None:
        whose, file_id = self._whose(request), ids.read(ids.FILE, request.match_info["id"])
        return await files.find_file(self.database, whose, file_id) if file_id else None

    async def content(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/files/ID/content`: the file, streamed."""
        found = await self._find(request)
        if found is None:
            return _not_there(request)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = found.bytes
        await response.prepare(request)
        async for part in files.read(self.database, found.id):
            await response.write(part)
        await response.write_eof()
        return response

    async def list(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/files`: a page of the tenant's files."""
        whose = self._whose(request)
        asked = read_list(request, ids.FILE, MOST_OF_A_PAGE, MOST_OF_A_PAGE, LIST_QUERY)
        most = min(asked.limit, _PAGE)
        order = asked.more.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise RefusedError("'order' is asc or desc.", param="order")
        purpose = asked.more.get("purpose")
        if purpose is not None and not (purpose.isascii() and purpose.isprintable()):
            # The database compares it with ASCII alone, and takes no other text for that.
            raise RefusedError("No file can have this purpose.", param="purpose")
        found = await files.page_of_files(self.database, whose, purpose, asked.after, most + 1, newest=order == "desc")
        if found is None:
            raise RefusedError("There is no such file.", param="after")
        return web.json_response(list_body([show_file(each) for each in found], most))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/files/ID`."""
        whose, file_id = self._whose(request), ids.read(ids.FILE, request.match_info["id"])
        gone = await files.drop(self.database, whose, file_id) if file_id else None
        if gone is None or file_id is None:
            return _not_there(request)
        if not gone:
            return error_response(409, "file_in_use", "A batch that has not ended reads this file.")
        return web.json_response({"id": ids.show(ids.FILE, file_id), "object": "file", "deleted": True})

    def add_to(self, app: web.Application) -> None:
        """Serve these paths."""
        app.router.add_post("/v1/files", self.upload)
        app.router.add_get("/v1/files", self.list, allow_head=False)
        app.router.add_get("/v1/files/{id}", self.get, allow_head=False)
        app.router.add_get("/v1/files/{id}/content", self.content, allow_head=False)
        app.router.add_delete("/v1/files/{id}", self.delete)


def show_file(file: File) -> dict[str, Any]:
    """Return a file as OpenAI's clients see it."""
    return {
        "id": ids.show(ids.FILE, file.id),
        "object": "file",
        "bytes": file.bytes,
        "created_at": seconds(file.created_at),
        "expires_at": seconds(file.due_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def seconds(time_: datetime | None) -> int | None:
    """Return a time of the database, which is UTC, as OpenAI has it."""
    return None if time_ is None else int(time_.replace(tzinfo=UTC).timestamp())


def _not_there(request: web.Request) -> web.Response:
    return error_response(404, "file_not_found", f"No such File object: {request.match_info['id'][:80]}", "id")
