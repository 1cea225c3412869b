"""The CPU fallback behind a revision: when Envoy asks it, what clients hear, and what is counted and kept. On a real Envoy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from rig.counts import counts
from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import EdgeEndpoint, GatewayModel
from slicewise.envoy.measurement import Counts

SERVED_BY = "x-slicewise-served-by"
REVISION = "x-slicewise-revision"
ONE = GatewayModel("chat", (route(STABLE, fallback=True),))


async def by_whom(rig: Rig) -> tuple[str, str | None, str]:
    status, body, headers = await rig.ask()
    assert status == 200, body
    return body["worker"], headers.get(SERVED_BY), headers[REVISION]


async def is_by(rig: Rig, worker: Worker) -> bool:
    return (await by_whom(rig))[0] == worker.name


async def test_an_answer_says_that_it_is_the_fallbacks_and_of_no_revision(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, cpu = await start_workers(2)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as rig:
        assert await by_whom(rig) == (gpu.name, None, STABLE)
        assert cpu.requests == 0
        gpu.ready = False
        await until(lambda: is_by(rig, cpu), what="the fallback answers")
        assert await by_whom(rig) == (cpu.name, "cpu-fallback", "cpu-fallback")
        gpu.ready = True
        await until(lambda: is_by(rig, gpu), what="the slice answers again")
        assert await by_whom(rig) == (gpu.name, None, STABLE)
        await asyncio.to_thread(rig.stop)
        served = {(line["worker"], line["revision"]) for line in rig.access_log()}
    assert served == {(gpu.name, STABLE), (cpu.name, "cpu-fallback")}


async def test_no_request_goes_there_while_one_slice_of_many_is_healthy_even_if_its_queue_is_full(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    *slices, cpu = await start_workers(4)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": slices, "chat-fallback": [cpu]}) as rig:
        for worker in slices[1:]:
            worker.ready = False
        await rig.healthy(STABLE, 2)
        assert all([await is_by(rig, slices[0]) for _ in range(20)])
        slices[0].mode = "full"
        assert {(await rig.ask())[0] for _ in range(5)} == {503}
        assert cpu.requests == 0


async def test_a_pool_that_keeps_conversations_together_goes_there_and_back_likewise(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    first, second, cpu = await start_workers(3)
    model = replace(ONE, affinity=True)
    async with running(tmp_path, model, {f"chat-{STABLE}": [first, second], "chat-fallback": [cpu]}) as rig:
        first.ready = False
        await rig.healthy(STABLE, 2)
        assert all([await is_by(rig, second) for _ in range(20)])
        second.ready = False
        await until(lambda: is_by(rig, cpu), what="the CPU answers")
        first.ready = True
        await until(lambda: is_by(rig, first), what="a slice answers again")
        assert all([await is_by(rig, first) for _ in range(20)])


async def test_a_request_whose_only_slice_dies_is_tried_again_on_the_cpu(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, cpu = await start_workers(2)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as rig:
        # Together, so that several find the worker gone before Envoy counts it out. A wait is drawn for each, and one that is
        # hardly any finds it once more: not all of them do. Where Envoy's own check was faster than all of them: once more.
        for _ in range(10):
            await gpu.stop()
            await asyncio.gather(*(rig.ask() for _ in range(8)))
            if tried_again := await rig.stat(f"cluster.rev-{STABLE}.upstream_rq_retry_success"):
                break
            await gpu.start()
            await rig.healthy(STABLE, 2)
        assert tried_again
        answers = [await by_whom(rig) for _ in range(20)]
    assert set(answers) == {(cpu.name, "cpu-fallback", "cpu-fallback")}


async def test_a_fallback_that_has_no_worker_yet_is_skipped_and_found_when_it_comes(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, edge, cpu = await start_workers(3)
    model = GatewayModel("chat", ONE.routes, edge=EdgeEndpoint(edge.address, edge.port))
    edge.ready = False  # so that `running` can count workers
    async with running(tmp_path, model, {f"chat-{STABLE}": [gpu], "chat-fallback": []}) as rig:
        edge.ready = True
        gpu.ready = False
        await until(lambda: is_by(rig, edge), what="the edge takes what neither slice nor CPU can")
        rig.workers["chat-fallback"] = [cpu]
        assert await rig.apply() == [f"eds-rev-{STABLE}.json"]
        await until(lambda: is_by(rig, cpu), what="the CPU answers")


async def test_a_canary_whose_workers_are_gone_is_not_answered_for(tmp_path: Path, start_workers: StartWorkers) -> None:
    gpu, canary, cpu = await start_workers(3)
    model = GatewayModel("chat", (route(STABLE, 50, fallback=True), route(CANARY, 50)))
    services = {f"chat-{STABLE}": [gpu], f"chat-{CANARY}": [canary], "chat-fallback": [cpu]}
    async with running(tmp_path, model, services) as rig:
        canary.ready = False
        await rig.healthy(CANARY, 0)
        statuses = {(await rig.ask())[0] for _ in range(60)}
    assert statuses == {200, 503}
    assert cpu.requests == 0


async def test_a_stream_on_the_cpu_ends_there_when_slices_are_back(tmp_path: Path, start_workers: StartWorkers) -> None:
    gpu, cpu = await start_workers(2)
    cpu.mode = "stream"
    gpu.ready = False
    async with running(tmp_path, ONE, {f"chat-{STABLE}": [], "chat-fallback": [cpu]}) as rig:
        rig.workers[f"chat-{STABLE}"] = [gpu]
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            assert answer.headers[SERVED_BY] == "cpu-fallback"
            assert await answer.content.readline() == b"data: first\n"
            gpu.ready = True
            await rig.apply()
            await rig.healthy(STABLE, 2)
            assert await is_by(rig, gpu)
            cpu.go.set()
            assert await answer.read() == b"\ndata: last\n\n"


LIMIT = 0.5
"""Seconds."""
JUDGED = replace(ONE, fallback=True, p95_seconds=LIMIT)


async def test_nothing_that_the_cpu_does_is_counted_for_the_revision(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, cpu = await start_workers(2)
    async with running(tmp_path, JUDGED, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as rig:
        gpu.ready = False
        await rig.healthy(STABLE, 1)
        assert await is_by(rig, cpu)
        for mode, status in (("refuse", 404), ("fail", 500), ("late", 504), ("full", 503)):
            cpu.mode = mode  # type: ignore[assignment]  # one of its modes
            assert (await rig.ask())[0] == status
        cpu.mode, cpu.delay = "ok", LIMIT * 3
        slow = asyncio.create_task(rig.ask())
        leaves = asyncio.create_task(rig.ask())
        await until(lambda: has(cpu, running=2), what="two requests run on the CPU")
        leaves.cancel()
        assert (await slow)[0] == 200
        cpu.mode, cpu.delay = "die", 0
        assert (await rig.ask())[0] == 503
        await until(lambda: aside(rig, at_least=9), what="the tries on the CPU are counted")
        found = await counts(rig, LIMIT)
        assert found.started == 0
        assert replace(found, tries=0, retried=0) == Counts()


async def test_what_slices_do_is_counted_as_ever_beside_it(tmp_path: Path, start_workers: StartWorkers) -> None:
    gpu, cpu = await start_workers(2)
    async with running(tmp_path, JUDGED, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as rig:
        for mode, status in (("ok", 200), ("refuse", 404), ("fail", 500), ("ok", 200)):
            gpu.mode = mode  # type: ignore[assignment]  # one of its modes
            assert (await rig.ask())[0] == status
        gpu.mode, gpu.delay = "ok", LIMIT * 3
        assert (await rig.ask())[0] == 200
        gpu.ready = False
        await until(lambda: is_by(rig, cpu), what="the CPU answers")

        async def are_counted() -> bool:
            found = await counts(rig, LIMIT)
            rest = found.started == found.timed + found.refused
            return (found.failed, found.refused) == (1, 1) and found.slow >= 1 and rest

        await until(are_counted, what="one of each, and all but the refused one timed")


async def test_a_request_that_the_cpu_took_over_counts_once_and_as_a_success(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, cpu = await start_workers(2)
    gpu.mode = "die"
    async with running(tmp_path, JUDGED, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as rig:
        assert (await by_whom(rig))[0] == cpu.name
        await until(lambda: aside(rig, at_least=1), what="the try on the CPU is counted")
        found = await counts(rig, LIMIT)
        assert (gpu.requests, found.started, found.failed) == (1, 1, 0)


async def has(worker: Worker, running: int) -> bool:
    return worker.running == running


async def aside(rig: Rig, at_least: int) -> bool:
    found = await rig.stat(f"slicewise.aside.slicewise_cluster.rev-{STABLE}")
    return found is not None and found >= at_least
