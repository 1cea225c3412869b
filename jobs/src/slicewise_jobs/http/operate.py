"""`/v1/backlog` and `/v1/jobs/ID` of the internal port: for people who operate the pool, across its tenants."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from slicewise_jobs.decisions.body import read_id, show_id
from slicewise_jobs.decisions.states import OPEN, State
from slicewise_jobs.http.errors import error_response
from slicewise_jobs.http.hub import Hub
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.operate import RETRIED, groups, retry, tenant_of


@dataclass(frozen=True, slots=True)
class Operate:
    """The handlers, and what they need."""

    database: Database
    pool: str
    keep_seconds: float
    hub: Hub

    async def backlog(self, _request: web.Request) -> web.StreamResponse:
        """`GET /v1/backlog`: how many jobs of whom are in which state."""
        found = await groups(self.database, self.pool)
        rows = [
            {
                "tenant": each.tenant,
                "status": each.state.shown,
                "waiting": each.state is State.WAITING,
                "jobs": each.jobs,
                "bytes": each.bytes,
                "oldest_seconds": round(each.oldest_seconds, 3),
                "ended_last_minute": each.ended_last_minute,
            }
            for each in found
        ]
        return web.json_response({"data": rows})

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/jobs/ID/retry`: run a job again that failed, expired or was cancelled."""
        job_id = read_id(request.match_info["id"])
        was = await retry(self.database, self.pool, job_id) if job_id else None
        if was is None or job_id is None:
            return _not_there(request)
        if was not in RETRIED:
            return error_response(409, "wrong_state", f"The job is {was.shown}; it is not run again.")
        self.hub.wake(1)
        return web.json_response({"job_id": show_id(job_id), "status": State.QUEUED.value})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/jobs/ID`: cancel a job of any tenant."""
        job_id = read_id(request.match_info["id"])
        tenant = await tenant_of(self.database, self.pool, job_id) if job_id else None
        if tenant is None or job_id is None:
            return _not_there(request)
        was = await cancel(self.database, self.pool, tenant, job_id, self.keep_seconds)
        if was is State.RUNNING:
            self.hub.cancel(job_id)
        if was is None or (was not in OPEN and was is not State.CANCELLED):
            return error_response(409, "wrong_state", "The job has ended.")
        return web.json_response({"job_id": show_id(job_id), "status": State.CANCELLED.value})

    def add_to(self, app: web.Application) -> None:
        """Serve these paths."""
        app.router.add_get("/v1/backlog", self.backlog)
        app.router.add_post("/v1/jobs/{id}/retry", self.retry)
        app.router.add_delete("/v1/jobs/{id}", self.cancel)


def _not_there(request: web.Request) -> web.Response:
    return error_response(404, "job_not_found", f"There is no job {request.match_info['id'][:80]}.")
