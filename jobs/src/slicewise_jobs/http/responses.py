"""`/v1/responses` in the background, as OpenAI's clients ask for it: each response is a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.body import RefusedError, Wanted, read_tenant
from slicewise_jobs.decisions.responses import open_response, read_response, whole_response
from slicewise_jobs.decisions.states import State, poll_after
from slicewise_jobs.http.errors import error_response
from slicewise_jobs.http.files import TENANT_HEADER, seconds
from slicewise_jobs.http.jobs import Jobs
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.responses import StoredResponse, delete_response, find_response
from slicewise_jobs.store.submit import Accepted

_STREAMED: Final = ("stream", "starting_after")


@dataclass(frozen=True, slots=True)
class Responses:
    """The handlers; they share all with those of jobs."""

    jobs: Jobs

    def _named(self, request: web.Request) -> tuple[tuple[str, str], bytes | None]:
        """Return whose response a request names, and which one it can be."""
        self.jobs.watch.check(request.method)
        tenant = read_tenant(request.headers.get(TENANT_HEADER))
        return (self.jobs.pool, tenant), ids.read(ids.RESPONSE, request.match_info["id"])

    async def add(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/responses`: 200 with a queued response once it is durable."""

        def shown(accepted: Accepted, wanted: Wanted) -> web.Response:
            known = ids.show(ids.RESPONSE, accepted.id)
            created = seconds(accepted.created_at) or 0
            # One that was sent before may have ended; GET shows what became of it.
            state = accepted.state if accepted.state in {State.QUEUED, State.RUNNING} else State.QUEUED
            return web.json_response(open_response(known, created, state, None, wanted.body))

        return await self.jobs.take(request, lambda raw: read_response(raw, model=self.jobs.model), shown)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/responses/ID`."""
        if any(name in request.query for name in _STREAMED):
            raise RefusedError(
                "A response in the background is not streamed.", code="unsupported_parameter", param="stream"
            )
        whose, job_id = self._named(request)
        found = await find_response(self.jobs.database, whose, job_id) if job_id else None
        return _answer(found) if found else _not_there(request)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/responses/ID/cancel`: one that has ended stays as it is."""
        whose, job_id = self._named(request)
        found = await find_response(self.jobs.database, whose, job_id) if job_id else None
        if found is None:
            return _not_there(request)
        was = await cancel(self.jobs.database, *whose, found.id, self.jobs.keep_seconds)
        if was is State.RUNNING:
            self.jobs.hub.cancel(found.id)
        now = await find_response(self.jobs.database, whose, found.id)
        return _answer(now) if now else _not_there(request)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/responses/ID`: one that runs is ended."""
        whose, job_id = self._named(request)
        was = await delete_response(self.jobs.database, whose, job_id) if job_id else None
        if was is None or job_id is None:
            return _not_there(request)
        if was is State.RUNNING:
            self.jobs.hub.cancel(job_id)
        return web.json_response({"id": ids.show(ids.RESPONSE, job_id), "object": "response", "deleted": True})

    def add_to(self, app: web.Application) -> None:
        """Serve these paths."""
        app.router.add_post("/v1/responses", self.add)
        app.router.add_get("/v1/responses/{id}", self.get, allow_head=False)
        app.router.add_post("/v1/responses/{id}/cancel", self.cancel)
        app.router.add_delete("/v1/responses/{id}", self.delete)


def _answer(found: StoredResponse) -> web.Response:
    after = poll_after(found.state, found.age_seconds)
    headers = {"Retry-After": str(after)} if after else {}
    return web.json_response(_shown(found), headers=headers)


def _shown(found: StoredResponse) -> dict[str, Any]:
    known, created = ids.show(ids.RESPONSE, found.id), seconds(found.created_at) or 0
    if found.state is State.DONE and found.answer is not None:
        return whole_response(known, created, found.answer, found.asked)
    return open_response(known, created, found.state, found.last_error, found.asked)


def _not_there(request: web.Request) -> web.Response:
    message = f"Response with id '{request.match_info['id'][:80]}' not found."
    return error_response(404, "response_not_found", message, "id")
