"""What clients ask of jobs: through the same listener as all else, to the API of jobs in place of a worker. On a real Envoy."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from rig.envoy import CHAT, STABLE, running, until
from rig.jobs_api import ONE, found, with_jobs
from rig.worker import StartWorkers, Worker
from servers.processes import free_port

from slicewise.clients.gateways import HttpGateways
from slicewise.clients.stats_in_flight import InFlight
from slicewise.envoy import Cors, Jobs, TenantKeys

ACME = "key-of-acme-1"
PATHS = (
    "/jobs",
    "/jobs/1",
    "/jobs/1/events?x=1",
    "/v1/files",
    "/v1/files/file-1/content",
    "/v1/batches",
    "/v1/batches/batch_1/cancel",
    "/v1/responses/resp_1",
    "/v1/responses/resp_1/cancel",
)


async def test_the_paths_of_jobs_go_to_their_api_with_the_tenant_and_without_the_key(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    model = replace(with_jobs(api), tenant_keys=TenantKeys("keys"))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, acme=ACME) as rig:
        await found(rig)
        key = {"authorization": f"Bearer {ACME}", "x-slicewise-tenant": "boss", "x-slicewise-background": "1"}
        for number, path in enumerate(PATHS, 1):
            assert (await rig.ask(path))[0] == 401, path
            for method in ("POST", "GET", "DELETE"):
                async with rig.session.request(method, rig.url + path, headers=key) as answer:
                    assert (answer.status, "x-slicewise-revision" in answer.headers) == (200, True), path
            assert api.requests == 3 * number, path
            assert (api.headers["x-slicewise-tenant"], api.headers.get("authorization")) == ("acme", None)
            assert "x-slicewise-background" not in api.headers
        assert workers[0].requests == 0
        for path in ("/jobsx", "/v1/filesx", "/v1/batch", "/metrics", "/job", "/v1/jobs", "/"):
            status, body, _ = await rig.ask(path, authorization=f"Bearer {ACME}")
            assert (status, body["error"]["code"]) == (404, "not_found"), path
        assert "/jobs, /v1/files, /v1/batches" in body["error"]["message"]
        for name in ("x-slicewise-tenant", "x-slicewise-job", "X-Slicewise-Background"):
            async with rig.session.post(rig.url + CHAT, data=b"{}", headers={**key, name: "boss"}) as answer:
                assert answer.status == 200
            assert workers[0].headers["x-slicewise-tenant"] == "acme"
            assert not {"x-slicewise-job", "x-slicewise-background"} & workers[0].headers.keys()


async def test_a_path_that_climbs_out_of_jobs_is_what_it_leads_to(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, with_jobs(api), {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        expected = {
            f"/jobs/..{CHAT}": (b"200", 1, 0),
            f"/jobs/%2e%2e{CHAT}": (b"200", 2, 0),
            "/jobs/../metrics": (b"404", 2, 0),
            "/jobs/..%2f..%2fmetrics": (b"307", 2, 0),
            "/v1/../jobs/1": (b"200", 2, 1),
            "//jobs///1": (b"200", 2, 2),
        }
        for path, (status, of_worker, of_api) in expected.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode()
            )
            assert (await reader.readline()).split()[1] == status, path
            writer.close()
            assert (workers[0].requests, api.requests) == (of_worker, of_api), path


async def test_without_its_api_a_pool_serves_and_says_that_no_job_was_accepted(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    await api.stop()
    async with running(tmp_path, with_jobs(api), {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        for path in PATHS:
            status, body, headers = await rig.ask(path)
            assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "jobs_unavailable", "1"), path
            assert body["error"]["type"] == "server_error"
        assert (await rig.ask())[0] == 200
        await api.start()

        async def is_back() -> bool:
            return (await rig.ask("/jobs"))[0] == 200

        await until(is_back, what="the API is back")


async def test_a_job_that_was_sent_is_not_sent_again_when_the_api_dies(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    api.mode = "die"
    async with running(tmp_path, with_jobs(api), {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        status, body, headers = await rig.ask("/jobs")
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "outcome_unknown", "1")
        assert api.requests == 1


BACKGROUND = {
    '{"background": true}': True,
    '{"input": "x", "background":true, "model": "m"}': True,
    '{\n "input" : [{"background": false}],\n "background"\n:\n true }': True,
    r'{"input": "a \" quote, \\", "background": true}': True,
    '{"background": false, "background": true}': True,
    '{"background": true, "background": false}': False,
    '{"background": false}': False,
    '{"background": "true"}': False,
    '{"background": null}': False,
    '{"background": truely}': False,
    '{"input": "background: true"}': False,
    r'{"input": "\"background\": true"}': False,
    '{"input": "\\"background\\"", "metadata": {"background": true}}': False,
    '{"input": ["background", true], "x": [{"background": true}]}': False,
    '[{"background": true}]': False,
    '"background": true': False,
    '{"x": "background", "y": true}': False,
    '{"background"': False,
    '{"background": true, "x": "never ends': False,
    "": False,
    "{}": False,
}


async def test_a_response_in_the_background_goes_to_the_api_of_jobs_and_all_others_to_a_worker(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    model = with_jobs(api, replace(ONE, max_body_bytes=2 << 20, affinity=True))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        padding = json.dumps({"input": "[{" * (500 << 10)})[1:-1]
        bodies = {**BACKGROUND, f'{{{padding}, "background": true}}': True, f'{{{padding}, "x": "background"}}': False}
        for body, in_background in bodies.items():
            before = api.requests, workers[0].requests
            status, _, _ = await rig.ask("/v1/responses", body.encode())
            assert status == 200, body[:80]
            after = (before[0] + in_background, before[1] + (not in_background))
            assert (api.requests, workers[0].requests) == after, body[:80]
            assert (api if in_background else workers[0]).body == body.encode()
        for path in (CHAT, "/v1/completions"):
            await rig.ask(path, b'{"background": true}')
        assert workers[0].requests == after[1] + 2


async def test_events_and_sockets_of_a_job_pass_as_they_come(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    go = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"id: 1\n\n")
        await go.wait()
        await response.write(request.headers["Last-Event-ID"].encode())
        return response

    async def socket(request: web.Request) -> web.WebSocketResponse:
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        async for message in opened:
            await opened.send_str(f"{request.path} {message.data}")
        return opened

    app = web.Application()
    app.add_routes([web.get("/jobs/1/events", events), web.get("/jobs/1/socket", socket)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    model = replace(ONE, jobs=Jobs.of("localhost", 900, port))
    try:
        async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
            await found(rig)
            async with rig.session.get(f"{rig.url}/jobs/1/events", headers={"Last-Event-ID": "7"}) as answer:
                assert await answer.content.readexactly(7) == b"id: 1\n\n"
                go.set()
                assert await answer.content.read() == b"7"
            async with rig.session.ws_connect(f"{rig.url}/jobs/1/socket") as opened:
                for word in ("one", "two"):
                    await opened.send_str(word)
                    assert await opened.receive_str() == f"/jobs/1/socket {word}"
    finally:
        await runner.cleanup()


async def test_pages_of_other_origins_may_cancel_jobs(tmp_path: Path, start_workers: StartWorkers, api: Worker) -> None:
    workers = await start_workers(1)
    model = with_jobs(api, replace(ONE, cors=Cors(("https://app.example.com",))))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "DELETE"}
        async with rig.session.options(f"{rig.url}/jobs/1", headers=asked) as answer:
            assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("origins", [(), ("https://app.example.com", "https://b.example.com"), ("*",)])
async def test_pages_open_sockets_where_cors_lets_them_in(
    tmp_path: Path, start_workers: StartWorkers, api: Worker, origins: tuple[str, ...]
) -> None:
    workers = await start_workers(1)
    model = with_jobs(api, replace(ONE, cors=Cors(origins) if origins else None))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        pages = ("https://b.example.com", "https://b.example.com.evil.com", "http://b.example.com", "null", "")
        for number, origin in enumerate((None, *pages)):
            headers = handshake | ({} if origin is None else {"Origin": origin})
            before = api.requests
            async with rig.session.get(f"{rig.url}/jobs/1/events", headers=headers) as answer:
                # What stands for the API here answers an upgrade with a plain 200.
                text = await answer.text()
            allowed = origin is None or "*" in origins or origin in origins
            assert (api.requests - before, answer.status) == ((1, 200) if allowed else (0, 403)), (number, text)
            assert allowed or json.loads(text)["error"]["code"] == "origin_not_allowed"
        # Of a plain request the browser itself keeps the answer back.
        async with rig.session.get(f"{rig.url}/jobs/1/events", headers={"Origin": "https://evil.com"}) as answer:
            assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (200, "*" in origins)


async def test_requests_to_the_api_are_limited_with_all_others_and_need_no_worker(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    model = with_jobs(api, replace(ONE, tenant_keys=TenantKeys("keys"), requests_per_minute=4))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, acme=ACME, other="key-of-other") as rig:
        await found(rig)
        gateway = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        quiet = await gateway.in_flight("127.0.0.1")
        assert isinstance(quiet, InFlight)
        api.waits = True
        key = {"x_api_key": ACME}
        waiting = [asyncio.create_task(rig.ask("/jobs/1", **key)) for _ in range(4)]

        async def all_wait() -> bool:
            return api.running == 4

        await until(all_wait)
        assert await gateway.in_flight("127.0.0.1") == quiet, "no worker is needed for them"
        api.go.set()
        assert [(await task)[0] for task in waiting] == [200] * 4
        assert await gateway.in_flight("127.0.0.1") == quiet, "a client that polls keeps no pool awake"
        assert (await rig.ask("/jobs/1", **key))[0] == 429
        assert (await rig.ask(**key))[0] == 429
        async with rig.session.post(
            f"{rig.url}/jobs", data=io.BytesIO(b"{}"), headers={"x-api-key": "key-of-other"}
        ) as other:
            assert other.status == 200
