"""The API as clients meet it: a real process on a real MariaDB."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.client import Client, until
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api
from jobs_rig.store import KEPT, POOL, locked, take
from monitored import differs_from_page

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.settle import Result, Settlement, settle

Start = Callable[..., Api]


async def finish(database: Database, result: Result | None = None, error: str | None = None) -> bytes:
    (job,) = await take(database)
    state = State.ERROR if error else State.DONE
    await settle(database, [Settlement(job.seq, job.id, job.token, state, result, error)], KEPT)
    return job.body


async def test_a_job_is_accepted_and_its_answer_fetched(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session, "acme")
    status, body, headers = await client.call("POST", "/jobs", json={"prompt": "hello", "params": {"max_tokens": 5}})
    assert status == 202
    assert body["status"] == "queued"
    assert headers["Location"] == f"/jobs/{body['job_id']}"
    status, shown, headers = await client.call("GET", headers["Location"])
    assert (status, shown["status"], shown["attempts"]) == (200, "queued", 0)
    assert int(headers["Retry-After"]) >= 1
    sent = await finish(database, Result(200, "application/json", "cpu-fallback", b'{"choices": []}'))
    assert sent == b'{"model":"tiny","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}'
    status, shown, headers = await client.call("GET", f"/jobs/{body['job_id']}")
    assert (shown["status"], shown["servedBy"], shown["result"]) == ("done", "cpu-fallback", {"choices": []})
    assert "Retry-After" not in headers


async def test_a_body_of_chat_completions_is_sent_on_as_it_is(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    raw = b'{ "model":"mine", "messages": [{"role":"user","content":"\\u00e9"}], "seed": 1 }'
    assert (await client.call("POST", "/jobs", data=raw))[0] == 202
    assert await finish(database, Result(200, "text/plain", "", b"plain")) == raw
    (listed,) = (await client.call("GET", "/jobs"))[1]["data"]
    job = await client.get(listed["job_id"])
    assert (job["servedBy"], job["result"]) == ("slices", "plain")


async def test_a_job_may_have_a_priority(shared_api: Api, database: Database, session: aiohttp.ClientSession) -> None:
    client = Client(shared_api.url, session)
    for query in ("", "?priority=high", "?priority=normal", "?priority=low"):
        await client.add("hello", query=query)
    assert [row[0] for row in await database.read("SELECT priority FROM slicewise_jobs ORDER BY seq")] == [1, 0, 1, 2]
    await client.add("hello", key="k", query="?priority=high")
    assert (await client.call("POST", "/jobs", json={"prompt": "hello"}, key="k"))[0] == 409


async def test_a_job_that_failed_says_why(shared_api: Api, database: Database, session: aiohttp.ClientSession) -> None:
    client = Client(shared_api.url, session)
    job_id = await client.add("hello")
    await finish(database, error="400 from the gateway: invalid_value: no such field")
    job = await client.get(job_id)
    assert (job["status"], job["error"]["message"]) == ("error", "400 from the gateway: invalid_value: no such field")
    assert (await client.call("DELETE", f"/jobs/{job_id}"))[0] == 409


async def test_one_key_is_one_job_and_another_body_a_conflict(
    start_api: Start, database: Database, session: aiohttp.ClientSession
) -> None:
    first, second = start_api(), start_api()
    clients = [Client(api.url, session, "acme") for api in (first, second)]
    ids = await asyncio.gather(*(clients[number % 2].add("hello", key="k") for number in range(200)))
    assert len(set(ids)) == 1
    for path, body in (("/jobs", {"prompt": "other"}), ("/jobs?delay_seconds=5", {"prompt": "hello"})):
        status, answer, _ = await clients[0].call("POST", path, json=body, key="k")
        assert (status, answer["error"]["code"]) == (409, "idempotency_conflict")
    assert await Client(first.url, session, "other").add("other", key="k") != ids[0]
    counted = first.metric('slicewise_jobs_submitted_total{outcome="accepted"}')
    counted += second.metric('slicewise_jobs_submitted_total{outcome="accepted"}')
    assert counted == 2


async def test_jobs_of_several_requests_are_committed_together(
    shared_api: Api, database: Database, mariadb: MariaDb, tables: str, tmp_path: Path
) -> None:
    before = shared_api.metric("slicewise_jobs_commits_total")
    sent: Counter[str] = Counter()

    async def has_sent(*_: object) -> None:
        sent["bodies"] += 1

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(has_sent)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trace_configs=[trace]) as session:
        client = Client(shared_api.url, session)
        # All come before the first is stored, however slowly this process sends them.
        async with locked(mariadb, tmp_path, tables, "slicewise_jobs"):
            adding = [asyncio.create_task(client.add(f"prompt {number}")) for number in range(400)]
            await until(lambda: sent["bodies"] == 400)
        ids = await asyncio.gather(*adding)
    await asyncio.sleep(0.01)
    assert len(set(ids)) == 400
    assert shared_api.metric("slicewise_jobs_commits_total") - before < 200
    stored = await database.read("SELECT id FROM slicewise_jobs WHERE pool = :pool", pool=POOL)
    assert {f"job_{row.id.hex()}" for row in stored} == set(ids)


async def test_a_tenant_has_a_limit_of_jobs_and_of_bytes(
    start_api: Start, database: Database, session: aiohttp.ClientSession
) -> None:
    api = start_api(MAX_BACKLOG_JOBS=3, MAX_BACKLOG_BYTES=2000)
    client = Client(api.url, session, "acme")
    for _ in range(3):
        await client.add("a")
    status, answer, headers = await client.call("POST", "/jobs", json={"prompt": "a"})
    assert (status, answer["error"]["code"]) == (429, "backlog_full")
    assert int(headers["Retry-After"]) > 0
    other = Client(api.url, session, "other")
    await other.add("a" * 1500)
    status, answer, _ = await other.call("POST", "/jobs", json={"prompt": "a" * 1500})
    assert (status, answer["error"]["code"]) == (429, "backlog_full")
    assert "bytes" in answer["error"]["message"]
    await finish(database, Result(200, "application/json", "", b"{}"))
    await finish(database, Result(200, "application/json", "", b"{}"))
    # What the API knows of a backlog is a second old at most.
    for _ in range(600):
        if (await client.call("POST", "/jobs", json={"prompt": "a"}))[0] == 202:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("no room after two jobs had ended")


async def test_another_tenants_job_is_not_there(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    mine, other = Client(shared_api.url, session, "mine"), Client(shared_api.url, session, "other")
    job_id = await mine.add("a")
    for method in ("GET", "DELETE"):
        assert (await other.call(method, f"/jobs/{job_id}"))[0] == 404
    assert (await other.call("GET", "/jobs"))[1]["data"] == []
    assert (await other.call("GET", f"/jobs?after={job_id}"))[0] == 400
    assert (await mine.get(job_id))["status"] == "queued"


async def test_pages_are_followed_by_their_last_job(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    ids = [await client.add(f"{number}") for number in range(5)]
    seen, path = [], "/jobs?limit=2&status=queued"
    while True:
        _, body, _ = await client.call("GET", path)
        seen += [job["job_id"] for job in body["data"]]
        if not body["has_more"]:
            break
        path = f"/jobs?limit=2&status=queued&after={body['next']}"
    assert seen == ids[::-1]


async def test_a_queued_job_can_be_cancelled_again_and_again(
    shared_api: Api, database: Database, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    job_id = await client.add("a")
    for _ in range(2):
        status, body, _ = await client.call("DELETE", f"/jobs/{job_id}")
        assert (status, body["status"]) == (200, "cancelled")
    assert await take(database) == []


async def test_the_metrics_of_the_api_are_on_the_page(shared_api: Api) -> None:
    assert differs_from_page(shared_api.metrics(), "API of jobs") == set()
