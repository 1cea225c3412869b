"""The dispatcher as a process: what it does where the gateway refuses, fails or is away, and when it has to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import aiohttp
from aiohttp import web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, failed, no_worker
from jobs_rig.programs import Api, DispatcherProgram, ready

from slicewise_jobs.store.database import Database

StartApi = Callable[..., Api]
Start = Callable[..., DispatcherProgram]


async def test_back_pressure_pauses_the_dispatcher_and_costs_no_attempt(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    full = True
    refused: list[float] = []

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        if full:
            refused.append(time.monotonic())
            return no_worker(1, **{"x-slicewise-held": "0.1"})
        return await gateway.echo(request, body)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, SLOTS=1, MAX_ATTEMPTS=2))
    ids = [await client.add(f"job {number}") for number in range(4)]
    await until(lambda: len(refused) >= 5)
    # Each refusal asked to wait for a second.
    assert all(later - sooner >= 0.9 for sooner, later in pairwise(refused))
    full = False
    for job_id in ids:
        assert (await client.until(job_id, "done"))["attempts"] == 1


async def test_a_tenant_over_its_limit_holds_up_no_other(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    limited, free = Client(shared_api.url, session, "limited"), Client(shared_api.url, session, "free")
    asked_to_wait = 3600

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        if request.headers["x-slicewise-tenant"] == "limited" and asked_to_wait:
            return web.json_response(
                {"error": {"message": "Too many."}}, status=429, headers={"Retry-After": str(asked_to_wait)}
            )
        return await gateway.echo(request, body)

    gateway.answer = answer
    dispatcher = await ready(start_dispatcher(shared_api, SLOTS=2, MAX_ATTEMPTS=1))
    for number in range(10):
        await limited.add(f"refused {number}")
    await until(lambda: gateway.order)
    for number in range(10):
        await free.until(await free.add(f"free {number}"), "done")
    # Two slots, so two may have been sent before the first answer; the others were not sent at all.
    assert sum(tenant == "limited" for tenant, _ in gateway.order) <= 2
    assert await asyncio.to_thread(dispatcher.metric, "slicewise_dispatcher_limit") == 2
    dispatcher.kill()
    asked_to_wait = 1
    # Another dispatcher knows nothing of the limit yet.
    await ready(start_dispatcher(shared_api, SLOTS=2, MAX_ATTEMPTS=1))
    late = [await limited.add(f"late {number}") for number in range(4)]
    await until(lambda: sum(tenant == "limited" for tenant, _ in gateway.order) >= 4)
    asked_to_wait = 0
    for job_id in late:
        assert (await limited.until(job_id, "done"))["attempts"] == 1


async def test_a_gateway_that_is_away_costs_no_attempt(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    await gateway.stop()
    dispatcher = await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=1))
    job_id = await client.add("hello")

    async def refused() -> float:
        return await asyncio.to_thread(dispatcher.metric, 'slicewise_dispatcher_attempts_total{fate="refused"}')

    for _ in range(1500):
        if await refused() >= 2:
            break
        await asyncio.sleep(0.02)
    assert await refused() >= 2
    await gateway.start()
    assert (await client.until(job_id, "done"))["attempts"] == 1


async def test_a_failed_attempt_is_made_again_and_the_last_one_ends_the_job_with_words(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        prompt = body["messages"][0]["content"]
        if prompt == "always" or (prompt == "twice" and gateway.asked[prompt] <= 2):
            return failed(500, "made to fail")
        return failed(400, "no such field") if prompt == "never" else await gateway.echo(request, body)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=3))
    ids = {prompt: await client.add(prompt) for prompt in ("always", "twice", "never")}
    assert (await client.until(ids["twice"], "done"))["attempts"] == 3
    dead = await client.until(ids["always"], "error")
    assert dead["error"]["message"] == "Given up after 3 attempts: 500 from the gateway: made: made to fail"
    refused = await client.until(ids["never"], "error")
    assert refused["error"]["message"] == "400 from the gateway: made: no such field"
    assert gateway.asked == {"always": 3, "twice": 3, "never": 1}


async def test_a_job_that_kills_its_worker_ends_while_others_are_served(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    """The gateway answers for a worker that died as for a pool without one; what tells them apart is that others are answered."""
    client = Client(shared_api.url, session)

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        return no_worker(0) if body["messages"][0]["content"] == "poison" else await gateway.echo(request, body)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=3))
    await client.until(await client.add("good"), "done")
    dead = await client.until(await client.add("poison"), "error")
    assert "after 3 attempts: 503 from the gateway: no_worker" in dead["error"]["message"]


async def test_a_job_that_kills_its_worker_ends_also_where_no_other_is_served(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    """What tells it from a pool that is away is that the pool answers just before."""
    client = Client(shared_api.url, session)
    gateway.probed = 400

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        return no_worker(0)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=3))
    dead = await client.until(await client.add("poison"), "error")
    assert "after 3 attempts: 503 from the gateway: no_worker" in dead["error"]["message"]
    assert "The pool answered just before" in dead["error"]["message"]
    # The first one had not been alone.
    assert gateway.asked == {"poison": 4}


async def test_in_an_outage_the_pool_is_asked_and_no_job_is_sent(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    gateway.probed = 503
    away = True

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        return no_worker(0) if away else await gateway.echo(request, body)

    gateway.answer = answer
    dispatcher = await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=1, SLOTS=1))
    ids = [await client.add(f"job {number}") for number in range(6)]
    await until(lambda: gateway.asked.total() == 1)
    for _ in range(900):
        if await asyncio.to_thread(dispatcher.metric, 'slicewise_dispatcher_probes_total{answer="away"}') >= 3:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError(dispatcher.log())
    assert gateway.asked.total() == 1
    away, gateway.probed = False, 400
    for job_id in ids:
        assert (await client.until(job_id, "done"))["attempts"] == 1


async def test_a_pool_that_breaks_with_every_job_ends_none_of_them(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)
    gateway.probed = 400
    broken = True

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        return no_worker(0) if broken else await gateway.echo(request, body)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, MAX_ATTEMPTS=2))
    ids = [await client.add(f"job {number}") for number in range(8)]
    await until(lambda: gateway.asked.total() >= 40, 60)
    broken = False
    for job_id in ids:
        assert (await client.until(job_id, "done", "error"))["status"] == "done"


async def test_a_drain_ends_what_it_can_and_gives_the_rest_back(
    shared_api: Api,
    start_dispatcher: Start,
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    client = Client(shared_api.url, session)
    soon = asyncio.Event()

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        await (soon.wait() if body["messages"][0]["content"] == "short" else asyncio.sleep(300))
        return await gateway.echo(request, body)

    gateway.answer = answer
    first = await ready(start_dispatcher(shared_api, DRAIN_SECONDS=200))
    short = await client.add("short")
    await until(lambda: gateway.now == 1)
    first.terminate()
    await until(lambda: "dispatcher ends" in first.log())
    late = await client.add("late")
    soon.set()
    # As soon as nothing runs any more.
    await until(first.ended)
    assert (await client.get(short))["status"] == "done"
    assert (await client.call("DELETE", f"/jobs/{late}"))[1]["status"] == "cancelled"
    second = await ready(start_dispatcher(shared_api, DRAIN_SECONDS=1))
    long = await client.add("long")
    await until(lambda: gateway.now == 1)
    second.terminate()
    await until(lambda: "dispatcher ends" in second.log())
    late = await client.add("late")
    await until(second.ended)
    for job_id in (long, late):
        job = await client.get(job_id)
        assert (job["status"], job["attempts"]) == ("queued", 0)
    gateway.answer = gateway.echo
    await ready(start_dispatcher(shared_api))
    for job_id in (long, late):
        assert (await client.until(job_id, "done"))["attempts"] == 1


async def test_an_answer_that_is_too_large_is_an_error_and_is_not_asked_again(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(shared_api.url, session)

    async def answer(_request: web.Request, _body: dict) -> web.StreamResponse:
        return web.Response(body=b"x" * 5000)

    gateway.answer = answer
    await ready(start_dispatcher(shared_api, MAX_RESULT_BYTES=4096))
    job = await client.until(await client.add("large"), "error")
    assert job["error"]["message"] == "The answer is larger than 4096 bytes."
    assert gateway.asked == {"large": 1}
