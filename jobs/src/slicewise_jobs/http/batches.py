"""`/v1/batches`, as OpenAI's clients ask for it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from slicewise_jobs.batches.keeper import Keeper
from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.batch import BatchState, read_batch
from slicewise_jobs.decisions.body import RefusedError, make_id, read_tenant
from slicewise_jobs.http.errors import busy, error_response
from slicewise_jobs.http.files import TENANT_HEADER, seconds
from slicewise_jobs.http.hub import Hub
from slicewise_jobs.http.intake import BusyError, Intake
from slicewise_jobs.http.listing import list_body, read_list
from slicewise_jobs.store.batches import Batch, cancel_batch, find_batch, make_batch, page_of_batches
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.watch import Watch

MOST_OF_A_PAGE: Final = 100
_USUAL: Final = 20


@dataclass(frozen=True, slots=True)
class Batches:
    """The handlers, and what they need."""

    database: Database
    pool: str
    most_open: int
    keep_job_seconds: float
    intake: Intake
    keeper: Keeper
    hub: Hub
    watch: Watch

    def _whose(self, request: web.Request) -> tuple[str, str]:
        self.watch.check(request.method)
        return self.pool, read_tenant(request.headers.get(TENANT_HEADER))

    async def add(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/batches`: 200 once the batch is durable."""
        whose = self._whose(request)
        try:
            async with self.intake.body(request) as raw:
                wanted = read_batch(raw)
        except BusyError:
            return busy()
        made = await make_batch(self.database, whose, make_id(time.time(), os.urandom(10)), wanted, self.most_open)
        if isinstance(made, Batch):
            self.keeper.wake()
            return web.json_response(show_batch(made))
        if made == "too_many":
            words = f"This tenant has {self.most_open} batches that have not ended."
            return error_response(429, "too_many_batches", words, headers={"Retry-After": "60"})
        words = "There is no such file." if made == "no_file" else "The file's purpose is not batch."
        raise RefusedError(words, param="input_file_id", status=404 if made == "no_file" else 400)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/batches/ID`."""
        whose, batch_id = self._whose(request), ids.read(ids.BATCH, request.match_info["id"])
        found = await find_batch(self.database, whose, batch_id) if batch_id else None
        return web.json_response(show_batch(found)) if found else _not_there(request)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/batches`: a page of the tenant's batches, newest first."""
        whose, asked = self._whose(request), read_list(request, ids.BATCH, _USUAL, MOST_OF_A_PAGE)
        found = await page_of_batches(self.database, whose, asked.after, asked.limit + 1)
        if found is None:
            raise RefusedError("There is no such batch.", param="after")
        return web.json_response(list_body([show_batch(each) for each in found], asked.limit))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/batches/ID/cancel`: what has an answer is kept; nothing more is run."""
        whose, batch_id = self._whose(request), ids.read(ids.BATCH, request.match_info["id"])
        done = await cancel_batch(self.database, whose, batch_id, self.keep_job_seconds) if batch_id else None
        if done is None:
            return _not_there(request)
        was, batch, ran = done
        for job in ran:
            self.hub.cancel(job)
        self.keeper.wake()
        if batch.state in {BatchState.CANCELLING, BatchState.CANCELLED}:
            return web.json_response(show_batch(batch))
        return error_response(409, "batch_has_ended", f"The batch cannot be cancelled: its status is {was}.")

    def add_to(self, app: web.Application) -> None:
        """Serve these paths."""
        app.router.add_post("/v1/batches", self.add)
        app.router.add_get("/v1/batches", self.list, allow_head=False)
        app.router.add_get("/v1/batches/{id}", self.get, allow_head=False)
        app.router.add_post("/v1/batches/{id}/cancel", self.cancel)


def show_batch(batch: Batch) -> dict[str, Any]:
    """Return a batch as OpenAI's clients see it."""
    ended = {state: seconds(batch.ended_at) if batch.state is state else None for state in BatchState}
    # Its files are seen once they are whole.
    whole = batch.ended_at is not None
    return {
        "id": ids.show(ids.BATCH, batch.id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": json.loads(batch.errors)} if batch.errors else None,
        "input_file_id": ids.show(ids.FILE, batch.input_file),
        "completion_window": batch.window,
        "status": batch.state.value,
        "output_file_id": ids.show(ids.FILE, batch.output_file) if whole and batch.output_file else None,
        "error_file_id": ids.show(ids.FILE, batch.error_file) if whole and batch.error_file else None,
        "created_at": seconds(batch.created_at),
        "in_progress_at": seconds(batch.in_progress_at),
        "expires_at": seconds(batch.expires_at),
        "finalizing_at": seconds(batch.finalizing_at),
        "completed_at": ended[BatchState.COMPLETED],
        "failed_at": ended[BatchState.FAILED],
        "expired_at": ended[BatchState.EXPIRED],
        "cancelling_at": seconds(batch.cancelling_at),
        "cancelled_at": ended[BatchState.CANCELLED],
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": json.loads(batch.metadata) if batch.metadata else None,
    }


def _not_there(request: web.Request) -> web.Response:
    return error_response(404, "batch_not_found", f"No batch found with id '{request.match_info['id'][:80]}'.", "id")
