"""The dispatcher as a process: what it does with answers, refusals, cancellations and signals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
from aiohttp import web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.programs import Api, DispatcherProgram, connected, ready
from monitored import differs_from_page

from slicewise_jobs.store.database import Database

StartApi = Callable[..., Api]
Start = Callable[..., DispatcherProgram]


async def test_jobs_run_with_their_tenant_behind_other_requests_and_their_answers_are_kept(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session, "acme")
    dispatcher = await ready(start_dispatcher(shared_api))
    job_id = await client.add("hello")
    job = await client.until(job_id, "done")
    assert job["result"]["choices"][0]["message"]["content"] == "answer to hello"
    assert (job["attempts"], job["servedBy"]) == (1, "slices")
    (headers,) = gateway.headers
    assert headers["x-slicewise-tenant"] == "acme"
    assert headers["x-slicewise-priority"] == "batch"
    assert headers["x-request-id"] == job_id
    assert gateway.paths == ["/v1/chat/completions"]
    text = await asyncio.to_thread(dispatcher.metrics)
    assert differs_from_page(text, "Dispatcher of jobs") == set()


async def test_a_new_job_wakes_one_idle_dispatcher_at_once(
    shared_api: Api,
    start_dispatcher: Start,
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    """With a look at the database once an hour, only a wake can start a job."""
    client = Client(shared_api.url, session)
    for _ in range(2):
        await ready(start_dispatcher(shared_api, POLL_SECONDS=3600))
    await connected(shared_api, 2)
    # One that was woken by its connection may still look.
    await client.until(await client.add("first"), "done")
    for number in range(20):
        await client.until(await client.add(f"job {number}"), "done")
    assert len(gateway.order) == 21
    # An idle hour costs next to nothing: no dispatcher asks the database while nothing wakes it.
    before, began = await queries(database), time.monotonic()
    await asyncio.sleep(1)
    assert await queries(database) - before < 10 * (time.monotonic() - began)


async def queries(database: Database) -> int:
    (row,) = await database.read("SHOW GLOBAL STATUS LIKE 'Com_select'")
    return int(row[1])


async def test_without_the_api_jobs_are_found_all_the_same(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    await ready(start_dispatcher(None))
    await client.until(await client.add("hello"), "done")


async def test_no_more_jobs_run_at_a_time_than_there_are_slots(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    gateway.answer = later(0.05, gateway.echo)
    await ready(start_dispatcher(shared_api, SLOTS=3))
    ids = [await client.add(f"job {number}") for number in range(20)]
    for job_id in ids:
        await client.until(job_id, "done")
    assert gateway.most == 3
    assert set(gateway.asked.values()) == {1}


async def test_one_tenants_many_jobs_delay_anothers_by_one_a_slot(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    many, single = Client(shared_api.url, session, "many"), Client(shared_api.url, session, "single")
    await asyncio.gather(*(many.add(f"job {number}") for number in range(200)))
    open_gate = asyncio.Event()

    async def gated(request: web.Request, body: dict) -> web.StreamResponse:
        await open_gate.wait()
        return await gateway.echo(request, body)

    gateway.answer = gated
    await ready(start_dispatcher(shared_api, SLOTS=2))
    await until(lambda: gateway.now == 2)
    job_id = await single.add("mine")
    open_gate.set()
    await single.until(job_id, "done")
    place = [tenant for tenant, _ in gateway.order].index("single")
    # Two ran; then each slot may have begun one more.
    assert place <= 4


async def test_a_cancelled_job_ends_its_request(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    gateway.answer = later(300, gateway.echo)
    # Only the API's word can be what ends it: the next renewal is an hour away.
    await ready(start_dispatcher(shared_api, RENEW_SECONDS=3600, LEASE_SECONDS=7200))
    await connected(shared_api)
    job_id = await client.add("long")
    await until(lambda: gateway.now == 1)
    assert (await client.get(job_id))["status"] == "running"
    assert (await client.call("DELETE", f"/jobs/{job_id}"))[1]["status"] == "cancelled"
    await until(lambda: gateway.left == ["long"])
    assert (await client.get(job_id))["status"] == "cancelled"


async def test_without_the_apis_word_a_cancelled_job_ends_with_the_next_renewal(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    gateway.answer = later(300, gateway.echo)
    await ready(start_dispatcher(None))
    job_id = await client.add("long")
    await until(lambda: gateway.now == 1)
    await client.call("DELETE", f"/jobs/{job_id}")
    await until(lambda: gateway.left == ["long"])


async def test_jobs_that_wait_for_a_time_run_after_it_and_others_expire(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    expiring = await client.add("expiring", query="?expires_seconds=0.01")
    far = await client.add("far", query="?delay_seconds=86400")
    near = await client.add("near", query="?delay_seconds=0.5")
    await ready(start_dispatcher(shared_api))
    await client.until(near, "done")
    await client.until(expiring, "expired")
    assert (await client.get(far))["status"] == "queued"
    assert gateway.asked == {"near": 1}


async def test_a_wait_that_ends_long_before_the_next_look_at_the_database_is_seen(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    jobs = [await client.add(f"near-{number}", query=f"?delay_seconds={number}") for number in (2, 3)]
    await ready(start_dispatcher(shared_api, POLL_SECONDS=3600))
    for job in jobs:
        await client.until(job, "done")


LATE = """
import asyncio
from slicewise_jobs.store import watch

look = watch.look


async def late(*given, **named):
    await asyncio.sleep(2)
    return await look(*given, **named)


watch.look = late
from slicewise_jobs.__main__ import main

main()
"""
"""The program, which knows only after all else that the database can be trusted, as on a busy machine."""


async def test_what_is_found_before_the_database_can_be_trusted_runs_once_it_can_be(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    job_id = await client.add("early")
    dispatcher = start_dispatcher(None, POLL_SECONDS=3600)
    dispatcher.program = ["-c", LATE]
    await ready(dispatcher)
    await client.until(job_id, "done")


async def test_two_pools_in_one_database_run_each_their_own(
    shared_api: Api, start_api: StartApi, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    other_gateway = FakeGateway()
    await other_gateway.start()
    mine, other = shared_api, start_api(POOL="default/other")
    await ready(start_dispatcher(mine))
    await ready(start_dispatcher(other, POOL="default/other", GATEWAY_URL=other_gateway.url))
    clients = [Client(mine.url, session), Client(other.url, session)]
    ids = [await client.add(name, key="same") for client, name in zip(clients, ("mine", "other"), strict=True)]
    for client, job_id in zip(clients, ids, strict=True):
        await client.until(job_id, "done")
    assert (gateway.asked, other_gateway.asked) == ({"mine": 1}, {"other": 1})
    assert (await clients[0].call("GET", f"/jobs/{ids[1]}"))[0] == 404
    await other_gateway.stop()


async def test_an_answer_that_is_no_proper_json_is_shown_as_text(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)

    async def answer(_request: web.Request, body: dict) -> web.StreamResponse:
        text = body["messages"][0]["content"]
        return web.Response(body=text.encode("utf-16" if text == "{}" else "utf-8"), content_type="application/json")

    gateway.answer = answer
    await ready(start_dispatcher(shared_api))
    assert (await client.until(await client.add('{"a": NaN}'), "done"))["result"] == '{"a": NaN}'
    assert "{" in (await client.until(await client.add("{}"), "done"))["result"]
    assert (await client.until(await client.add('{"a": [1, "\u00e9"]}'), "done"))["result"] == {"a": [1, "\u00e9"]}
