"""Where requests go: weights, revisions, retries, dead workers. On a real Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import EdgeEndpoint, GatewayModel, Timeouts

BOTH = GatewayModel("chat", (route(STABLE, 75), route(CANARY, 25)))
ONE = GatewayModel("chat", (route(STABLE),))


async def revisions(rig: Rig, count: int) -> Counter[str]:
    answers = [await rig.ask() for _ in range(count)]
    assert {status for status, _, _ in answers} == {200}
    return Counter(headers["x-slicewise-revision"] for _, _, headers in answers)


async def test_requests_are_split_by_weight_and_an_abort_reaches_them_all(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    async with running(tmp_path, BOTH, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        seen = await revisions(rig, 200)
        assert 20 <= seen[CANARY] <= 80, seen

        async def split() -> Counter[str]:
            return await revisions(rig, 20)

        rig.model = replace(rig.model, routes=(route(STABLE, 100), route(CANARY, 0)))
        connections = await rig.stat("http.pool.downstream_cx_total")
        assert await rig.apply() == ["rtds.json"]

        async def only_stable() -> bool:
            return set(await split()) == {STABLE}

        # The last look must hold for all that follow, so a look is twenty requests.
        await until(only_stable, what="no request to the canary")
        assert set(await revisions(rig, 100)) == {STABLE}
        assert await rig.stat("http.pool.downstream_cx_total") == connections, "a change of weight drops no connection"


async def test_weights_need_not_add_up_to_100(tmp_path: Path, start_workers: StartWorkers) -> None:
    stable, canary = await start_workers(2)
    model = GatewayModel("chat", (route(STABLE, 1), route(CANARY, 1)))
    async with running(tmp_path, model, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        assert 20 <= (await revisions(rig, 100))[CANARY] <= 80


async def test_limits_of_size_and_time_are_raised_and_lowered_while_an_answer_is_on_its_way(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    workers[0].mode = "stream"
    model = replace(ONE, timeouts=Timeouts.of(60), max_body_bytes=1000)
    async with running(tmp_path, model, {f"chat-{STABLE}": workers[:1]}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            assert await answer.content.readline() == b"data: first\n"
            # A request that comes before Envoy knows of the other worker must not wait for this answer.
            workers[0].mode = "ok"
            rig.workers[f"chat-{STABLE}"] = [workers[1]]
            for seconds, size, left in ((3600, 3000, "3420000"), (600, 2000, "570000"), (20, 500, "19000")):
                rig.model = replace(rig.model, timeouts=Timeouts.of(seconds), max_body_bytes=size)
                await rig.apply()
                holds = partial(is_limited, rig, size, workers[1], left)
                await until(holds, what=f"{size} bytes and {left} ms hold")
            workers[0].go.set()
            assert await answer.read() == b"\ndata: last\n\n"
        workers[1].waits = True
        rig.model = replace(rig.model, timeouts=Timeouts.of(1))
        await rig.apply()
        await until(lambda: is_too_late(rig), what="a second is the limit")


async def is_limited(rig: Rig, size: int, worker: Worker, left: str) -> bool:
    status = (await rig.ask(body=b"x" * size))[0]
    too_large = (await rig.ask(body=b"x" * (size + 1)))[0]
    return (status, too_large, worker.headers.get("x-slicewise-timeout-ms")) == (200, 413, left)


async def is_too_late(rig: Rig) -> bool:
    """Whether an answer that never comes is given up; the limit before, 20 seconds, is not waited for."""
    try:
        async with asyncio.timeout(5):
            return (await rig.ask())[1].get("error", {}).get("code") == "timeout"
    except TimeoutError:
        return False


async def test_an_answer_that_takes_too_long_is_not_asked_for_again(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    for worker in workers:
        worker.waits = True
    model = replace(ONE, timeouts=Timeouts.of(1))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        status, body, _ = await rig.ask()
        assert (status, body["error"]["code"]) == (504, "timeout")
        assert sum(worker.requests for worker in workers) == 1


async def test_a_client_that_reads_nothing_takes_no_worker_away_from_others(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    """The gateway ends its stream, not the worker, whose end would be that of a worker that has gone."""
    (worker,) = workers = await start_workers(1)
    async with running(tmp_path, replace(ONE, timeouts=Timeouts.of(1)), {f"chat-{STABLE}": workers}) as rig:
        worker.mode, worker.last = "stream", b"x" * (64 << 20)
        worker.go.set()
        _reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http, limit=1)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await until(
            lambda: rig.stat(f"cluster.rev-{STABLE}.upstream_rq_timeout"), what="the time of the request is over"
        )
        writer.transport.abort()
        worker.mode = "ok"
        assert [(await rig.ask())[0] for _ in range(20)] == [200] * 20
        assert await rig.stat(f"cluster.rev-{STABLE}.outlier_detection.ejections_enforced_total") == 0


async def test_a_dead_worker_costs_no_request_is_ejected_and_comes_back(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        await workers[0].stop()
        statuses = Counter([(await rig.ask())[0] for _ in range(30)])
        assert statuses == {200: 30}
        await rig.healthy(STABLE, 2)
        before = workers[0].requests
        await workers[0].start()
        await rig.healthy(STABLE, 3)

        async def asked_again() -> bool:
            await rig.ask()
            return workers[0].requests > before

        await until(asked_again, what="the worker gets requests again")


async def test_when_all_workers_are_dead_none_is_asked_and_the_client_hears_at_once(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for worker in workers:
            worker.ready = False
        await rig.healthy(STABLE, 0)
        status, body, headers = await rig.ask()
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "no_worker", "1")
        assert [worker.requests for worker in workers] == [0, 0]


async def test_a_stream_outlives_the_removal_of_its_worker(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(2)
    workers[0].mode = "stream"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": [workers[0]]}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            assert await answer.content.readline() == b"data: first\n"
            before = await rig.stat(f"cluster.rev-{STABLE}.update_success")
            rig.workers[f"chat-{STABLE}"] = [workers[1]]
            assert await rig.apply() == [f"eds-rev-{STABLE}.json"]

            async def is_read() -> bool:
                return await rig.stat(f"cluster.rev-{STABLE}.update_success") != before

            async def other() -> bool:
                return bool((await rig.ask())[1]["worker"] == workers[1].name)

            # Before that, a request would wait for the end of the stream.
            await until(is_read, what="Envoy has read its new endpoints")
            await rig.healthy(STABLE, 1)
            await until(other, what="the other worker answers")
            workers[0].go.set()
            assert await answer.read() == b"\ndata: last\n\n"
        assert workers[0].requests == 1


async def test_requests_go_to_slices_then_to_the_cpu_then_to_the_edge(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, other, cpu, edge = await start_workers(4)
    model = GatewayModel("chat", (route(STABLE, fallback=True),), edge=EdgeEndpoint(edge.address, edge.port))

    async def answered_by(worker: Worker) -> bool:
        status, body, _ = await rig.ask()
        return status == 200 and body["worker"] == worker.name

    services = {f"chat-{STABLE}": [gpu, other], "chat-fallback": [cpu, edge][:1]}
    edge.ready = False  # so that `running` can count workers
    async with running(tmp_path, model, services) as rig:
        other.ready = False
        await rig.healthy(STABLE, 2)
        assert all([await answered_by(gpu) for _ in range(10)]), "half of the slices is enough"
        edge.ready = True
        gpu.ready = False
        await rig.healthy(STABLE, 2)
        await until(lambda: answered_by(cpu), what="the CPU answers")
        cpu.ready = False
        await until(lambda: answered_by(edge), what="the edge answers")
        gpu.ready = True
        await until(lambda: answered_by(gpu), what="the slice answers")


async def test_each_request_leaves_a_line_that_names_worker_revision_and_tries(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        await rig.ask(user_agent='a"b\\')
        await asyncio.to_thread(rig.stop)
        (line,) = rig.access_log()
    assert (line["revision"], line["worker"], line["zone"]) == (STABLE, workers[0].name, "a")
    assert (line["attempts"], line["status"], line["user_agent"]) == (1, 200, 'a"b\\')
    assert line["duration_ms"] >= 0
