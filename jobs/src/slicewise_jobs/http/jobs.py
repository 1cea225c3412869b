"""`/jobs` and all below it: what clients of a pool ask for."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from slicewise_jobs.decisions.body import (
    RefusedError,
    Wanted,
    make_id,
    read_id,
    read_key,
    read_tenant,
    read_wanted,
    show_id,
)
from slicewise_jobs.decisions.states import OPEN, State, poll_after, seen_as
from slicewise_jobs.http.backlog import Backlog
from slicewise_jobs.http.errors import busy, error_response, unavailable
from slicewise_jobs.http.hub import Hub
from slicewise_jobs.http.intake import BusyError, Intake
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_jobs.http.views import instant, show_job, with_result
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.group import GroupCommit
from slicewise_jobs.store.read import find, page
from slicewise_jobs.store.submit import Accepted, NewJob
from slicewise_jobs.store.trouble import OutcomeUnknownError, StoreError
from slicewise_jobs.store.watch import Watch

log = structlog.get_logger(__name__)
TENANT_HEADER: Final = "x-slicewise-tenant"
MOST_OF_A_PAGE: Final = 100
LIST_QUERY: Final = ("status", "after", "limit")
"""Parameters of `GET /jobs`."""
_BACKLOG_SECONDS: Final = "10"
Read = Callable[[bytes], Wanted]
Show = Callable[[Accepted, Wanted], web.Response]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Jobs:
    """The handlers, and what they need."""

    database: Database
    pool: str
    model: str
    chat: bool
    keep_seconds: float
    inbox: GroupCommit[NewJob, Accepted]
    backlog: Backlog
    intake: Intake
    hub: Hub
    metrics: ApiMetrics
    watch: Watch

    async def add(self, request: web.Request) -> web.StreamResponse:
        """`POST /jobs`: 202 once the job is durable."""

        def read(raw: bytes) -> Wanted:
            return read_wanted(raw, request.query, model=self.model, chat=self.chat)

        return await self.take(request, read, _accepted)

    async def take(self, request: web.Request, read: Read, show: Show) -> web.StreamResponse:
        """Take a job, however it is sent and shown."""
        outcome = "invalid"
        try:
            self.watch.check(request.method)
            tenant = read_tenant(request.headers.get(TENANT_HEADER))
            key = read_key(request.headers.get("Idempotency-Key"))
            async with self.intake.body(request) as raw:
                outcome, response = await self._add(tenant, key, read(raw), show)
                return response
        except BusyError:
            outcome = "busy"
            return busy()
        except StoreError:
            outcome = "unavailable"
            raise
        finally:
            self.metrics.submitted.labels(outcome).inc()

    async def _add(self, tenant: str, key: str | None, wanted: Wanted, show: Show) -> tuple[str, web.StreamResponse]:
        if full := await self.backlog.admit(tenant, len(wanted.body)):
            return "backlog", error_response(429, "backlog_full", full, headers={"Retry-After": _BACKLOG_SECONDS})
        job = NewJob(
            make_id(time.time(), os.urandom(10)),
            tenant,
            wanted.path,
            wanted.body,
            wanted.hash,
            key,
            wanted.delay_seconds,
            wanted.expires_seconds,
            wanted.priority,
        )
        with self.metrics.submit_seconds.time():
            accepted = await self.inbox.put(job)
        if not accepted.same_body:
            message = "This Idempotency-Key came with another body before."
            return "conflict", error_response(409, "idempotency_conflict", message, "Idempotency-Key")
        return "accepted" if accepted.new else "repeated", show(accepted, wanted)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/ID`: its state, and its result once it is done."""
        self.watch.check(request.method)
        tenant, job_id = read_tenant(request.headers.get(TENANT_HEADER)), read_id(request.match_info["id"])
        found = await find(self.database, self.pool, tenant, job_id) if job_id else None
        if found is None:
            return not_there(request)
        job, result = found
        after = poll_after(job.state, job.age_seconds)
        headers = {"Retry-After": str(after)} if after else {}
        return web.Response(body=with_result(job, result), content_type="application/json", headers=headers)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs`: a page of the tenant's jobs, newest first."""
        self.watch.check(request.method)
        tenant = read_tenant(request.headers.get(TENANT_HEADER))
        states, after, most = _read_page(request)
        found = await page(self.database, self.pool, tenant, states, after, most + 1)
        if found is None:
            raise RefusedError("There is no such job.", param="after")
        shown = [show_job(job) for job in found[:most]]
        more = len(found) > most
        return web.json_response({"data": shown, "has_more": more, "next": shown[-1]["job_id"] if more else None})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /jobs/ID`: it is not begun, or not gone on with, and has no result."""
        self.watch.check(request.method)
        tenant, job_id = read_tenant(request.headers.get(TENANT_HEADER)), read_id(request.match_info["id"])
        was = await cancel(self.database, self.pool, tenant, job_id, self.keep_seconds) if job_id else None
        if was is None or job_id is None:
            return not_there(request)
        if was is State.RUNNING:
            self.hub.cancel(job_id)
        self.hub.on_change(job_id)
        if was in OPEN or was is State.CANCELLED:
            return web.json_response({"job_id": show_id(job_id), "status": State.CANCELLED.value})
        message = f"The job has ended: its status is {was.shown}."
        return error_response(409, "job_has_ended", message)


def _accepted(accepted: Accepted, _wanted: Wanted) -> web.Response:
    shown = {
        "job_id": show_id(accepted.id),
        "status": accepted.state.shown,
        "created_at": instant(accepted.created_at),
    }
    headers = {"Location": f"/jobs/{show_id(accepted.id)}", "Retry-After": "1"}
    return web.json_response(shown, status=202, headers=headers)


def _read_page(request: web.Request) -> tuple[tuple[State, ...] | None, bytes | None, int]:
    query = request.query
    for name in query:
        if name not in LIST_QUERY:
            raise RefusedError(f"There is no parameter '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    states = seen_as(query["status"]) if "status" in query else None
    if "status" in query and states is None:
        raise RefusedError("'status' is queued, running, done, error, cancelled or expired.", param="status")
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MOST_OF_A_PAGE):
        raise RefusedError(f"'limit' is a number from 1 to {MOST_OF_A_PAGE}.", param="limit")
    after = None
    if "after" in query and (after := read_id(query["after"])) is None:
        raise RefusedError("'after' is the id of a job.", param="after")
    return states, after, int(limit)


def not_there(request: web.Request) -> web.Response:
    """Return that the tenant has no such job."""
    return error_response(404, "job_not_found", f"There is no job {request.match_info['id'][:80]}.")


def in_words(watch: Watch) -> Middleware:
    """Return what answers what goes wrong in the shape of the API."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                words = "The body is compressed: send it as it is."
                return error_response(415, "unsupported_encoding", words, "Content-Encoding")
            return await handler(request)
        except RefusedError as error:
            return error_response(error.status, error.code, error.message, error.param)
        except StoreError as error:
            watch.note(error.finding)
            return unavailable(error.finding, unknown=isinstance(error, OutcomeUnknownError))
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            return error_response(405, "method_not_allowed", f"This path takes {allow}.", headers={"Allow": allow})
        except web.HTTPNotFound:
            return error_response(404, "not_found", "There is no such path.")
        except web.HTTPException as error:
            return error_response(error.status, "bad_request", error.reason)
        except Exception:
            log.exception("request failed", path=request.path[:200])
            return error_response(500, "internal_error", "The request could not be handled.")

    return answer


def build_public(jobs: Jobs) -> web.Application:
    """Return the application that the gateway sends clients' requests to."""
    app = web.Application(middlewares=[in_words(jobs.watch)])
    app.router.add_post("/jobs", jobs.add)
    app.router.add_get("/jobs", jobs.list, allow_head=False)
    app.router.add_get("/jobs/{id}", jobs.get, allow_head=False)
    app.router.add_delete("/jobs/{id}", jobs.cancel)
    return app
