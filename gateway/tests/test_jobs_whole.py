"""Jobs from a client's key to a worker's answer: real Envoy, the real programs of jobs and a real MariaDB."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import database_with_tables, url_file
from rig.envoy import STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.envoy import GatewayModel, Jobs, TenantKeys

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
    server = MariaDb(tmp_path)
    server.start()
    programs: list[Api | DispatcherProgram] = []
    try:
        async with database_with_tables(server, tmp_path) as database:
            address = url_file(server, tmp_path, database.address().database)
            api = Api(tmp_path, address, server.ca_file)
            programs.append(await ready(api))
            model = replace(ONE, jobs=Jobs.of("localhost", 900, api.port))
            async with running(tmp_path, model, {f"chat-{STABLE}": workers}, **KEYS) as rig:
                gateway = f"http://127.0.0.1:{rig.model.ports.jobs}"
                dispatcher = DispatcherProgram(tmp_path, api, gateway, address, server.ca_file)
                programs.append(await ready(dispatcher))
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
    finally:
        for program in programs:
            await asyncio.to_thread(program.kill)
        server.stop()
