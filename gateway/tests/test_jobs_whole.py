"""Jobs from a client's key to a worker's answer: real Envoy, the real programs of jobs and a real MariaDB."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSCloseCode, WSServerHandshakeError
from rig.envoy import STABLE, Rig, route, until
from rig.jobs import running_jobs
from rig.worker import StartWorkers

from slicewise.envoy import GatewayModel, TenantKeys

KEYS = {"acme": "key-of-acme-1", "other": "key-of-other"}
ONE = GatewayModel("chat", (route(STABLE),), tenant_keys=TenantKeys("keys"))
BACKGROUND = {"model": "tiny", "input": "Hello", "background": True}


async def call(
    rig: Rig, method: str, path: str, tenant: str = "acme", body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """Ask as a client of a tenant."""
    headers = {"Authorization": f"Bearer {KEYS[tenant]}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    async with rig.session.request(method, rig.url + path, data=data, headers=headers) as answer:
        return answer.status, await answer.json()


async def ended(rig: Rig, path: str, *states: str) -> dict[str, Any]:
    """Return what is at a path once its status is one of these."""
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        nonlocal found
        _, found = await call(rig, "GET", path)
        return found.get("status") in states

    await until(has_ended, what=f"{path} is one of {states}")
    return found


async def test_a_job_and_a_response_in_the_background_run_as_their_tenant_s_and_are_seen_by_it_alone(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running_jobs(tmp_path, ONE, workers, KEYS) as rig:
        status, job = await call(rig, "POST", "/jobs", body={"prompt": "Hello"})
        assert status == 202, job
        done = await ended(rig, f"/jobs/{job['job_id']}", "done", "error")
        assert (done["status"], done["result"]["worker"]) == ("done", workers[0].name), done
        got = workers[0].headers
        assert (got["x-slicewise-tenant"], got["x-slicewise-priority"]) == ("acme", "batch")
        assert got["x-request-id"] == job["job_id"]
        assert (await call(rig, "GET", f"/jobs/{job['job_id']}", "other"))[0] == 404
        status, response = await call(rig, "POST", "/v1/responses", body=BACKGROUND)
        assert status == 200, response

        async def has_run() -> bool:
            return workers[0].requests == 2 and workers[0].running == 0

        await until(has_run, what="a worker has the response")
        assert b"background" not in workers[0].body
        assert (await call(rig, "GET", f"/v1/responses/{response['id']}", "other"))[0] == 404


async def test_a_socket_follows_a_job_through_the_gateway_to_its_end(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    workers[0].waits = True
    async with running_jobs(tmp_path, ONE, workers, KEYS) as rig:
        _, job = await call(rig, "POST", "/jobs", body={"prompt": "Hello"})
        url = f"{rig.url}/jobs/{job['job_id']}/events"
        for tenant, status in (("other", 404), ("", 401)):
            headers = {"x-api-key": KEYS[tenant]} if tenant else {}
            with pytest.raises(WSServerHandshakeError) as refused:
                await rig.session.ws_connect(url, headers=headers)
            assert refused.value.status == status
        seen = []
        key = {"x-api-key": KEYS["acme"]}
        async with rig.session.ws_connect(url, headers=key) as events:
            async for message in events:
                found = json.loads(message.data)
                seen.append(found["id"])
                assert found["data"]["job_id"] == job["job_id"]
                if found["data"]["status"] == "running":
                    workers[0].go.set()
            assert events.close_code == WSCloseCode.OK
        assert seen[-1] == "1-done"
        assert "1-running" in seen
        async with rig.session.ws_connect(f"{url}?last_event_id=1-running", headers=key) as events:
            assert json.loads((await events.receive()).data)["id"] == "1-done"


async def leave_closing_to_the_server(rig: Rig, path: str) -> None:
    """Follow a job that has ended over a WebSocket, say goodbye, and keep the connection open until the gateway closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
    headers = (
        "Host: x",
        f"X-Api-Key: {KEYS['acme']}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
    )
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    writer.write("\r\n".join((f"GET {path}/events HTTP/1.1", *headers, key, "", "")).encode())
    async with asyncio.timeout(60):
        await reader.readuntil(b"\x88\x02\x03\xe8")
        writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_the_closing_of_its_socket_to_the_api_takes_it_away_from_no_other(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    async with running_jobs(tmp_path, ONE, await start_workers(1), KEYS) as rig:
        _, job = await call(rig, "POST", "/jobs", body={"prompt": "Hello"})
        path = f"/jobs/{job['job_id']}"
        await ended(rig, path, "done")
        for _ in range(3):
            await leave_closing_to_the_server(rig, path)
            for tenant, status in (("acme", 200), ("other", 404)) * 3:
                assert (await call(rig, "GET", path, tenant))[0] == status
