"""What dispatchers of jobs send: a listener that believes the tenant's name, and otherwise does as the clients' one. On a real Envoy."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.counts import counts
from rig.edge import ASK, edge_pod
from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.clients.stats_in_flight import InFlight
from slicewise.envoy import GatewayModel, Jobs, TenantKeys, TenantShare, Timeouts
from slicewise.envoy.measurement import Reading

JOBS = Jobs.of("localhost", 900, 9)
ONE = GatewayModel("chat", (route(STABLE),), jobs=JOBS, max_body_bytes=1000, tenant_keys=TenantKeys("keys"))
TENANT = "x-slicewise-tenant"


async def send(
    rig: Rig, path: str = CHAT, body: bytes = b"{}", tenant: str | None = "acme"
) -> tuple[int, Any, Mapping[str, str]]:
    """Send what a dispatcher sends."""
    given = {"x-slicewise-priority": "batch", "x-request-id": "job-1", **({} if tenant is None else {TENANT: tenant})}
    url = f"http://127.0.0.1:{rig.model.ports.jobs}{path}"
    async with rig.session.post(url, data=io.BytesIO(body), headers=given) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_a_job_reaches_a_worker_as_its_tenant_s_batch_request_with_the_time_of_an_attempt(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    model = replace(ONE, shares=(TenantShare("acme", 4),))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, other="key-of-other") as rig:
        for path in (CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses"):
            status, _, headers = await send(rig, path, b'{"background": true}')
            assert (status, headers["x-slicewise-revision"], headers["x-request-id"]) == (200, STABLE, "job-1"), path
        got = workers[0].headers
        assert (got[TENANT], got["x-slicewise-weight"], got["x-slicewise-priority"]) == ("acme", "4", "batch")
        assert (got["x-slicewise-timeout-ms"], got["x-request-id"]) == (
            str(round(JOBS.timeouts.worker * 1000)),
            "job-1",
        )
        forged = {
            "x-slicewise-weight": "9",
            "x-slicewise-timeout-ms": "1",
            "x-slicewise-tenants": "b",
            "x-envoy-x": "1",
        }
        async with rig.session.post(
            f"http://127.0.0.1:{rig.model.ports.jobs}{CHAT}", data=b"{}", headers=forged
        ) as answer:
            assert answer.status == 200
        got = workers[0].headers
        assert not {TENANT, "x-slicewise-weight", "x-slicewise-tenants", "x-envoy-x"} & got.keys()
        assert (got["x-slicewise-priority"], len(got["x-slicewise-timeout-ms"])) == ("batch", 6)


async def test_what_is_no_request_of_a_dispatcher_is_refused(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for tenant in ("a b", "a/b", "", "ünï", '"', "a,b", "%REQ(x)%"):
            status, body, _ = await send(rig, tenant=tenant)
            assert (status, body["error"]["code"]) == (400, "bad_request"), tenant
        assert (await send(rig, tenant="x" * 10_240))[0] == 431
        for path in ("/jobs", "/v1/files", "/v1/models", "/openapi.json", "/metrics", "/", f"/jobs/..{CHAT}x"):
            assert (await send(rig, path, tenant=None))[0] == 404, path
        assert (await send(rig, "/v1/..%2fjobs", tenant=None))[0] == 400
        assert (await send(rig, body=b"x" * 1001, tenant=None))[0] == 413
        assert workers[0].requests == 0
        assert (await send(rig, tenant="Unknown.tenant-1_x"))[0] == 200


async def test_a_tenant_at_its_limit_has_its_jobs_run(tmp_path: Path, start_workers: StartWorkers) -> None:
    """Each was counted when it was sent, and a dispatcher that is refused for one tenant would pause for all."""
    workers = await start_workers(1)
    async with running(tmp_path, replace(ONE, requests_per_minute=1), {f"chat-{STABLE}": workers}) as rig:
        assert [(await send(rig, tenant="many"))[0] for _ in range(4)] == [200] * 4


async def test_a_worker_that_dies_of_a_job_is_the_only_one_and_one_that_has_not_begun_it_is_not(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        workers[0].mode = workers[1].mode = "die"
        status, _, headers = await send(rig)
        assert (status, sum(worker.requests for worker in workers)) == (503, 1)
        assert "x-slicewise-not-started" not in headers
        workers[0].mode = workers[1].mode = "full"

        async def both_are_full() -> bool:
            status, _, headers = await send(rig)
            return status == 503 and "x-slicewise-not-started" in headers

        await until(both_are_full, what="the dispatcher learns that its job was not begun")
        workers[1].mode = "ok"

        async def goes_on() -> bool:
            return (await send(rig))[0] == 200

        await until(goes_on, what="the other worker gets it")


async def test_jobs_take_part_in_a_rollout_and_count_for_it(tmp_path: Path, start_workers: StartWorkers) -> None:
    stable, canary = await start_workers(2)
    model = replace(ONE, routes=(route(STABLE, 50), route(CANARY, 50)), p95_seconds=5)
    canary.mode = "fail"
    async with running(tmp_path, model, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        answers = [(await send(rig))[0] for _ in range(60)]
        assert {200, 500} <= set(answers)
        gateway = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        found = await gateway.counters("127.0.0.1", 5)
        assert isinstance(found, Reading)
        assert getattr(found.revisions[CANARY], "failed", None) == sum(status >= 500 for status in answers)
        in_flight = await gateway.in_flight("127.0.0.1")
        assert isinstance(in_flight, InFlight)
        assert in_flight.begun == 60, "a pool is awake for jobs, too"


async def test_a_rollout_is_judged_by_errors_of_jobs_and_not_by_their_time(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    # Envoy looks at what runs once within a second after the limit, however busy the machine is.
    limit = 2.0
    model = replace(ONE, tenant_keys=None, p95_seconds=limit)
    async with running(tmp_path, model, {f"chat-{STABLE}": [worker]}) as rig:
        worker.delay = limit * 1.1
        answers = await asyncio.gather(*(send(rig) for _ in range(3)))
        assert {status for status, _, _ in answers} == {200}
        worker.delay = 0
        worker.waits = True
        job, client = asyncio.create_task(send(rig)), asyncio.create_task(rig.ask())

        async def the_client_s_is_seen_to_be_slow() -> bool:
            return (await counts(rig, limit)).pending == 1

        await until(the_client_s_is_seen_to_be_slow)
        found = await counts(rig, limit)
        assert (found.started, found.jobs, found.of_clients, found.timed, found.slow) == (5, 4, 1, 1, 1)
        assert found.jobs_ended == 3, "one that runs speaks for nothing yet"
        worker.go.set()
        assert {(await job)[0], (await client)[0]} == {200}
        # The last one, for a worker that fails gets nothing for a while.
        for worker.mode in ("refuse", "fail"):
            await send(rig)

        async def all_are_counted() -> bool:
            return (await counts(rig, limit)).jobs_ended == 5

        await until(all_are_counted)
        found = await counts(rig, limit)
        assert (found.jobs, found.failed, found.refused, found.jobs_refused) == (6, 1, 1, 1)
        assert (found.timed, found.slow, found.pending, found.left) == (1, 1, 0, 0)


async def test_jobs_through_the_cache_are_known_as_jobs_where_they_are_counted(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.delay = 0.5
    model = replace(ONE, tenant_keys=None, p95_seconds=0.2, max_body_bytes=1 << 20)
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": [worker]}) as pod:
        status, _, headers = await send(pod.rig, body=json.dumps(ASK).encode(), tenant=None)
        assert (status, headers["x-slicewise-cache"]) == (200, "miss")
        await pod.counted("stored_total", 1)
        assert (await pod.ask()).cache == "hit"
        other = {**ASK, "messages": [{"role": "user", "content": "another question"}]}
        assert (await pod.rig.ask(CHAT, json.dumps(other).encode()))[0] == 200

        async def all_are_counted() -> bool:
            found = await counts(pod.rig, 0.2)
            return found.timed == 1 and found.jobs_ended == 1

        await until(all_are_counted)
        found = await counts(pod.rig, 0.2)
        assert (found.jobs, found.of_clients, found.timed, found.slow) == (1, 1, 1, 1)


async def test_a_job_that_runs_counts_as_load(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    workers[0].waits = True
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        gateway = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        sent = [asyncio.create_task(send(rig)) for _ in range(3)]

        async def all_run() -> bool:
            found = await gateway.in_flight("127.0.0.1")
            return isinstance(found, InFlight) and found.requests == 3

        await until(all_run)
        assert (await rig.admin.state()).active_requests == 3, "a gateway that goes waits for them"
        workers[0].go.set()
        assert [(await task)[0] for task in sent] == [200] * 3


async def test_an_attempt_has_its_own_time_and_clients_have_theirs(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    workers[0].waits = True
    model = replace(ONE, tenant_keys=None, timeouts=Timeouts.of(60), jobs=Jobs.of("localhost", 2, 9))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        waiting = asyncio.create_task(rig.ask())
        status, body, _ = await send(rig)
        assert (status, body["error"]["code"]) == (504, "timeout")
        assert not waiting.done()
        workers[0].go.set()
        assert (await waiting)[0] == 200


async def test_a_job_waits_for_a_worker_with_its_time_and_leaves_half_of_the_room_to_clients(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    workers[0].ready = False
    model = replace(ONE, tenant_keys=None)
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}, cache=False, MAX_HELD_REQUESTS=4) as pod:
        jobs = [asyncio.create_task(send(pod.rig)) for _ in range(2)]
        await pod.counted("held_requests", 2)
        status, body, headers = await send(pod.rig)
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "no_worker", "1")
        assert float(headers["x-slicewise-held"]) == 0
        clients = [asyncio.create_task(pod.ask()) for _ in range(2)]
        await pod.counted("held_requests", 4)
        workers[0].waits = True
        workers[0].ready = True

        async def all_run() -> bool:
            return workers[0].running == 4

        await until(all_run)
        workers[0].go.set()
        for job in jobs:
            status, _, headers = await job
            assert (status, headers["x-slicewise-revision"]) == (200, STABLE)
            assert float(headers["x-slicewise-held"]) > 0
        assert {(await client).status for client in clients} == {200}


async def test_a_job_through_the_cache_keeps_its_time_and_no_client_waits_for_what_is_behind_others(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    worker = workers[0]
    worker.waits = True
    model = replace(ONE, tenant_keys=None, timeouts=Timeouts.of(60))
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}) as pod:

        async def runs(count: int) -> bool:
            return worker.running == count

        job = asyncio.create_task(send(pod.rig, body=json.dumps(ASK).encode(), tenant=None))
        await until(lambda: runs(1), what="the job runs")
        assert worker.headers["x-slicewise-priority"] == "batch"
        assert int(worker.headers["x-slicewise-timeout-ms"]) > 100_000, "more than any client of this pool has"
        client = asyncio.create_task(pod.ask())
        await until(lambda: runs(2), what="the same question of a client is asked for itself")
        assert "x-slicewise-priority" not in worker.headers
        worker.go.set()
        assert ((await job)[0], (await client).status) == (200, 200)
        status, _, headers = await send(pod.rig, body=json.dumps(ASK).encode(), tenant=None)
        assert (status, headers["x-slicewise-cache"], worker.requests) == (200, "hit", 2)
