"""What people who operate a pool see and do, over the internal port."""

from __future__ import annotations

import aiohttp
from jobs_rig.client import Client
from jobs_rig.programs import Api
from jobs_rig.store import KEPT, POOL, done, make_job, take

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.settle import Settlement, settle
from slicewise_jobs.store.submit import submit


async def test_the_backlog_says_how_much_of_whom_waits_and_since_when(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    await submit(database, POOL, [make_job("a", body=b"12345"), make_job("a"), make_job("b", delay_seconds=60.0)])
    await submit(database, "default/other", [make_job("c")])
    await take(database, 1)
    _, body, _ = await Client(shared_api.internal, session).call("GET", "/v1/backlog")
    shown = [(row["tenant"], row["status"], row["waiting"], row["jobs"], row["bytes"]) for row in body["data"]]
    assert shown == [("a", "queued", False, 1, 16), ("a", "running", False, 1, 5), ("b", "queued", True, 1, 16)]
    assert all(row["oldest_seconds"] >= 0 and row["ended_last_minute"] == 0 for row in body["data"])


async def test_the_backlog_says_what_ended_within_the_last_minute(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    await submit(database, POOL, [make_job("a"), make_job("a")])
    ended, _ = await take(database, 2)
    await settle(database, [done(ended)], KEPT)
    _, body, _ = await Client(shared_api.internal, session).call("GET", "/v1/backlog")
    assert [(row["status"], row["ended_last_minute"]) for row in body["data"]] == [("done", 1), ("running", 0)]


async def test_a_job_that_failed_is_run_again_on_request_and_one_that_is_done_never(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    people, client = Client(shared_api.internal, session), Client(shared_api.url, session, "acme")
    failed = await client.add("failed")
    (claimed,) = await take(database)
    await settle(database, [Settlement(claimed.seq, claimed.id, claimed.token, State.ERROR, error="Given up.")], KEPT)
    status, body, _ = await people.call("POST", f"/v1/jobs/{failed}/retry")
    assert (status, body["status"]) == (200, "queued")
    assert (await client.get(failed))["last_error"] == "Given up."
    (again,) = await take(database)
    assert (again.id, again.attempt, again.body) == (claimed.id, 1, claimed.body)
    # What still ran for the attempt before writes nothing.
    assert again.token > claimed.token
    for state in ("running", "done"):
        status, body, _ = await people.call("POST", f"/v1/jobs/{failed}/retry")
        assert (status, body["error"]["message"]) == (409, f"The job is {state}; it is not run again.")
        await settle(database, [done(again)], KEPT)
    assert (await people.call("POST", f"/v1/jobs/job_{'0' * 32}/retry"))[0] == 404
    assert (await people.call("POST", "/v1/jobs/x/retry"))[0] == 404


async def test_a_job_of_any_tenant_is_cancelled_on_request(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    people, client = Client(shared_api.internal, session), Client(shared_api.url, session, "acme")
    job_id = await client.add("a")
    status, body, _ = await people.call("DELETE", f"/v1/jobs/{job_id}")
    assert (status, body["status"]) == (200, "cancelled")
    assert (await client.get(job_id))["status"] == "cancelled"
    assert (await people.call("DELETE", f"/v1/jobs/job_{'0' * 32}"))[0] == 404
    # Clients of the pool have no such paths.
    assert (await client.call("GET", "/v1/backlog"))[0] == 404
