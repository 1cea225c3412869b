"""Streams of a job's states: what they show, how they go on, and how many there may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, failed
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import let_leases_end, take

from slicewise_jobs.store.database import Database

StartApi = Callable[..., Api]
Start = Callable[..., DispatcherProgram]


class Stream:
    """A client of one stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self._answer = answer

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """Return id and data of the next event, None at the end; comments are left out."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(60):
            async for line in self._answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name and value:
                    fields[name] = value
                elif "data" in fields:
                    assert fields["event"] == "status"
                    return fields["id"], json.loads(fields["data"])
        return None


@asynccontextmanager
async def stream(client: Client, session: aiohttp.ClientSession, job_id: str, last: str = "") -> AsyncIterator[Stream]:
    headers = {**client.headers, **({"Last-Event-ID": last} if last else {})}
    async with session.get(f"{client.url}/jobs/{job_id}/events", headers=headers) as answer:
        yield Stream(answer)


async def test_each_change_of_a_job_comes_and_the_stream_ends_with_it(
    shared_api: Api,
    start_dispatcher: Start,
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    client = Client(shared_api.url, session, "acme")
    go_on = [asyncio.Event(), asyncio.Event()]

    async def answer(request, body):
        number = gateway.asked.total()
        await go_on[number - 1].wait()
        return failed(500, "once") if number == 1 else await gateway.echo(request, body)

    gateway.answer = answer
    job_id = await client.add("hello")
    async with stream(client, session, job_id) as events:
        first = await events.next()
        assert first is not None
        assert (first[0], first[1]["status"], first[1]["job_id"]) == ("0-queued", "queued", job_id)
        await ready(start_dispatcher(shared_api, RETRY_SECONDS=3600))
        assert (await events.next() or ("",))[0] == "1-running"
        # Another client begins where it left off, and sees what comes after that alone.
        async with stream(client, session, job_id, "1-running") as later:
            go_on[0].set()
            found = await later.next()
            assert found is not None
            assert found[0] == "1-queued"
            assert "once" in found[1]["last_error"]
            assert await events.next() == found
            await let_leases_end(database)
            for each in (later, events):
                assert (await each.next() or ("",))[0] == "2-running"
            go_on[1].set()
            assert (await later.next() or ("",))[0] == "2-done"
            assert await later.next() is None
        assert (await events.next() or ("",))[0] == "2-done"
        assert await events.next() is None
    async with stream(client, session, job_id, "2-done") as ended:
        assert ended.status == 204
    async with stream(client, session, job_id, "2-running") as again:
        assert (await again.next() or ("",))[0] == "2-done"
        assert await again.next() is None


async def test_a_change_that_no_dispatcher_tells_of_is_found(
    shared_api: Api, session: aiohttp.ClientSession, database: Database
) -> None:
    client = Client(shared_api.url, session)
    job_id = await client.add("hello")
    async with stream(client, session, job_id) as events:
        assert (await events.next() or ("",))[0] == "0-queued"
        await take(database)
        assert (await events.next() or ("",))[0] == "1-running"
        # What this API itself does comes at once.
        await client.call("DELETE", f"/jobs/{job_id}")
        assert (await events.next() or ("",))[0] == "2-cancelled"
        assert await events.next() is None


async def test_streams_are_bounded_and_end_with_the_api(start_api: StartApi, session: aiohttp.ClientSession) -> None:
    api = start_api(MAX_STREAMS=3, MAX_TENANT_STREAMS=2)
    acme, other = Client(api.url, session, "acme"), Client(api.url, session, "other")
    job_id, its = await acme.add("hello"), await other.add("hello")
    async with stream(acme, session, job_id) as one, stream(acme, session, job_id) as two:
        assert (one.status, two.status) == (200, 200)
        status, body, headers = await acme.call("GET", f"/jobs/{job_id}/events")
        assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "too_many_streams", "10")
        # What another tenant has is not there.
        assert (await other.call("GET", f"/jobs/{job_id}/events"))[0] == 404
        async with stream(other, session, its) as three:
            assert three.status == 200
            assert (await Client(api.url, session, "third").call("GET", f"/jobs/{job_id}/events"))[0] == 404
            third = Client(api.url, session, "third")
            mine = await third.add("hello")
            assert (await third.call("GET", f"/jobs/{mine}/events"))[0] == 429
            await one.next()
            stopping = asyncio.create_task(asyncio.to_thread(api.stop))
            assert await one.next() is None
            assert await stopping == 0


async def test_a_client_that_goes_makes_room(start_api: StartApi, session: aiohttp.ClientSession) -> None:
    api = start_api(MAX_STREAMS=1)
    client = Client(api.url, session)
    job_id = await client.add("hello")
    for _ in range(3):
        async with stream(client, session, job_id) as events:
            assert events.status == 200
            await events.next()
        await until(lambda: api.metric("slicewise_jobs_event_streams") == 0)
