"""Jobs as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from slicewise_jobs.decisions.body import show_id
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.read import Job
from slicewise_jobs.store.settle import Result


def show_job(job: Job) -> dict[str, Any]:
    """Return a job without its result."""
    failed = job.state is State.ERROR
    return {
        "job_id": show_id(job.id),
        "status": job.state.shown,
        "created_at": instant(job.created_at),
        "started_at": instant(job.started_at),
        "finished_at": instant(job.finished_at),
        "expires_at": instant(job.expires_at),
        "attempts": job.attempts,
        "error": {"message": job.last_error or "", "code": "job_failed"} if failed else None,
        "last_error": None if failed or job.state is State.DONE else job.last_error,
    }


def with_result(job: Job, result: Result | None) -> bytes:
    """Return a job as a body, with its result as the gateway answered it."""
    shown = show_job(job)
    if result is None:
        return json.dumps(shown).encode()
    shown |= {"servedBy": result.served_by or "slices", "result_status": result.status}
    if not _is_json(result):
        return json.dumps({**shown, "result": result.body.decode(errors="replace")}).encode()
    # Not read and written again: it is what the client would have got.
    return json.dumps(shown).encode()[:-1] + b', "result": ' + result.body + b"}"


def _is_json(result: Result) -> bool:
    """Whether the dispatcher, which has read it, took it for JSON."""
    return result.content_type.partition(";")[0].strip().lower() == "application/json"


def instant(time: datetime | None) -> str | None:
    """Return a time of the database, which is UTC, in ISO 8601."""
    return None if time is None else time.isoformat(timespec="milliseconds") + "Z"
