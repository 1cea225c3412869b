"""Events of a job over a WebSocket: what comes, how it goes on and ends, and what clients may not do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, failed
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import let_leases_end
from servers.processes import free_port

from slicewise_jobs.http.sockets import serve_socket
from slicewise_jobs.store.database import Database

StartApi = Callable[..., Api]
Start = Callable[..., DispatcherProgram]
Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def socket(client: Client, session: aiohttp.ClientSession, path: str, **headers: str) -> AsyncIterator[Socket]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.ws_connect(f"{client.url}{path}", headers={**client.headers, **named}) as opened:
        yield opened


async def refused(client: Client, session: aiohttp.ClientSession, path: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with socket(client, session, path):
            pass
    return caught.value.status


async def event(opened: Socket) -> tuple[str, dict[str, Any]] | int | None:
    """Return id and data of the next event; at the end, the code with which the server closed."""
    message = await opened.receive(60)
    if message.type is not WSMsgType.TEXT:
        assert message.type is WSMsgType.CLOSE, message
        return opened.close_code
    found = json.loads(message.data)
    assert found.keys() == {"id", "event", "data"}
    assert found["event"] == "status"
    return found["id"], found["data"]


async def id_of(opened: Socket) -> str:
    found = await event(opened)
    assert isinstance(found, tuple), found
    return found[0]


async def test_a_socket_has_the_events_of_the_stream_and_is_closed_after_the_last(
    shared_api: Api,
    start_dispatcher: Start,
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    client = Client(shared_api.url, session, "acme")

    async def answer(request, body):
        return failed(500, "once") if gateway.asked.total() == 1 else await gateway.echo(request, body)

    gateway.answer = answer
    job_id = await client.add("hello")
    path = f"/jobs/{job_id}/events"
    async with socket(client, session, path) as opened:
        found = await event(opened)
        assert isinstance(found, tuple)
        assert (found[0], found[1]) == ("0-queued", await client.get(job_id))
        await ready(start_dispatcher(shared_api, RETRY_SECONDS=3600))
        while (last := await id_of(opened)) != "1-queued":
            assert last == "1-running"
        await let_leases_end(database)
        while (last := await id_of(opened)) != "2-done":
            assert last == "2-running"
        assert await event(opened) == WSCloseCode.OK
    # From the last event on there is nothing; from any other one there is what came after it.
    async with socket(client, session, path, Last_Event_ID="2-done") as again:
        assert await event(again) == WSCloseCode.OK
    for query, headers in (("", {"Last_Event_ID": "2-running"}), ("?last_event_id=2-running", {})):
        async with socket(client, session, path + query, **headers) as later:
            assert await id_of(later) == "2-done"
            assert await event(later) == WSCloseCode.OK
    # What connects again by itself sends the header, which is newer than its address.
    async with socket(client, session, f"{path}?last_event_id=2-running", Last_Event_ID="2-done") as newer:
        assert await event(newer) == WSCloseCode.OK
    async with session.get(f"{client.url}{path}?last_event_id=2-done", headers=client.headers) as stream:
        assert stream.status == 204


async def test_what_cannot_be_shown_is_refused_before_the_upgrade(
    start_api: StartApi, session: aiohttp.ClientSession
) -> None:
    api = start_api(MAX_STREAMS=2, MAX_TENANT_STREAMS=2)
    acme, other = Client(api.url, session, "acme"), Client(api.url, session, "other")
    path = f"/jobs/{await acme.add('hello')}/events"
    assert await refused(other, session, path) == 404
    assert await refused(acme, session, f"/jobs/job_{'0' * 32}/events") == 404
    assert await refused(acme, session, "/jobs/1/events") == 404
    assert await refused(acme, session, f"{path}?since=1") == 400
    no_key = {**acme.headers, "Connection": "Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13"}
    async with session.get(api.url + path, headers=no_key) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")
    # A socket takes the place of a stream, and a stream that of a socket.
    async with socket(acme, session, path) as one, session.get(api.url + path, headers=acme.headers) as two:
        assert two.status == 200
        assert await id_of(one) == "0-queued"
        assert await refused(acme, session, path) == 429
        assert (await acme.call("GET", path))[0] == 429
    await until(lambda: api.metric("slicewise_jobs_event_streams") == 0)
    async with socket(acme, session, path):
        pass
    assert "request failed" not in api.log()


@pytest.mark.parametrize(
    ("sent", "code"), [("x", WSCloseCode.POLICY_VIOLATION), ("x" * 2000, WSCloseCode.MESSAGE_TOO_BIG)]
)
async def test_a_socket_takes_no_message(
    shared_api: Api, session: aiohttp.ClientSession, database: Database, sent: str, code: int
) -> None:
    client = Client(shared_api.url, session)
    async with socket(client, session, f"/jobs/{await client.add('hello')}/events") as opened:
        assert await id_of(opened) == "0-queued"
        await opened.ping()
        await opened.send_str(sent)
        assert await event(opened) == code


async def test_an_api_that_ends_asks_its_clients_to_connect_again(
    start_api: StartApi, session: aiohttp.ClientSession
) -> None:
    api = start_api()
    client = Client(api.url, session)
    async with socket(client, session, f"/jobs/{await client.add('hello')}/events") as opened:
        assert await id_of(opened) == "0-queued"
        stopping = asyncio.create_task(asyncio.to_thread(api.stop))
        assert await event(opened) == WSCloseCode.GOING_AWAY
        assert await stopping == 0


async def test_pings_keep_a_connection_open_and_find_clients_that_are_gone(session: aiohttp.ClientSession) -> None:
    ended = asyncio.Event()

    async def nothing() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            return await serve_socket(request, nothing(), whole=lambda: True, alive_seconds=0.05)
        finally:
            ended.set()

    app = web.Application()
    app.add_routes([web.get("/", serve)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with session.ws_connect(f"http://127.0.0.1:{port}/", autoping=False) as opened:
            assert (await opened.receive(60)).type is WSMsgType.PING
            # It does not answer.
            async with asyncio.timeout(60):
                await ended.wait()
    finally:
        await runner.cleanup()
