"""What is tried again, where, and how often. On a real Envoy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from rig.envoy import CHAT, STABLE, route, running, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import GatewayModel

ONE = GatewayModel("chat", (route(STABLE),))


@pytest.mark.parametrize("mode", ["full", "die"])
async def test_a_request_that_was_not_begun_is_tried_on_another_worker(
    tmp_path: Path, start_workers: StartWorkers, mode: str
) -> None:
    workers = await start_workers(3)
    workers[0].mode = mode  # type: ignore[assignment]  # one of the literals above
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        # Three in a row would put a worker out, if what it refuses counted against it.
        await rig.ask_until_met(workers[0], times=4 if mode == "full" else 1, at_least=12)
        if mode == "full":
            assert await rig.stat(f"cluster.rev-{STABLE}.outlier_detection.ejections_active") == 0


async def test_requests_that_time_out_take_no_worker_out_and_workers_that_fail_go(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    for worker in workers:
        worker.mode = "late"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        ejections = f"cluster.rev-{STABLE}.outlier_detection.ejections_enforced_total"
        for _ in range(20):
            status, _, headers = await rig.ask()
            assert status == 504
            assert "x-slicewise-worker-healthy" not in headers
        assert sum(worker.requests for worker in workers) == 20
        assert await rig.stat(ejections) == 0
        for worker in workers:
            worker.mode = "fail"

        async def both_are_out() -> bool:
            await rig.ask()
            return await rig.stat(ejections) == 2

        await until(both_are_out, what="workers that fail are taken out")


async def test_a_large_request_can_be_tried_again_too(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(2)
    workers[0].mode = "full"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for _ in range(6):
            status, body, _ = await rig.ask(body=b"x" * 500_000)
            assert (status, body["bytes"]) == (200, 500_000)


async def test_all_that_runs_on_a_worker_when_it_dies_is_tried_elsewhere(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    for worker in workers:
        worker.waits = True
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        asking = [asyncio.create_task(rig.ask()) for _ in range(30)]
        await until(lambda: all_running(workers, 30), what="all thirty run")
        busiest = max(workers, key=lambda worker: worker.running)  # a third at least: more than a fifth of what runs
        busiest.mode = "die"
        for worker in workers:
            worker.go.set()
        answers = await asyncio.gather(*asking)
        assert {status for status, _, _ in answers} == {200}


async def all_running(workers: list[Worker], count: int) -> bool:
    return sum(worker.running for worker in workers) == count


async def test_when_every_worker_dies_of_a_request_the_tries_stay_within_the_budget(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(4)
    for worker in workers:
        worker.mode, worker.delay, worker.waits = "full", 0.2, True
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        asking = [asyncio.create_task(rig.ask()) for _ in range(100)]
        # The budget is a share of what runs at a time: all of them, however slowly they come.
        await until(lambda: all_running(workers, 100), what="all hundred run")
        for worker in workers:
            worker.go.set()
        answers = await asyncio.gather(*asking)
        assert {status for status, _, _ in answers} == {503}
        tries = sum(worker.requests for worker in workers)
        # A fifth of what runs may be retries, and a retry that fails makes room for the next: 100 x (1 + 0.2 + 0.2 x 0.2 ...).
        assert tries <= 150, tries


async def test_a_request_that_kills_its_workers_kills_two_and_then_its_client_hears_of_it(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(4)
    for worker in workers:
        worker.mode = "die"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        status, body, _ = await rig.ask()
        assert (status, body["error"]["code"]) == (503, "no_worker")
        assert sum(worker.requests for worker in workers) == 2
        assert max(worker.requests for worker in workers) == 1


async def test_an_ordinary_failure_is_the_answer_and_is_not_tried_again(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    for worker in workers:
        worker.mode = "fail"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        assert (await rig.ask())[0] == 500
        assert sum(worker.requests for worker in workers) == 1


async def test_nothing_is_tried_again_after_the_first_byte(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(2)
    for worker in workers:
        worker.mode, worker.break_stream = "stream", True
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            assert await answer.content.readline() == b"data: first\n"
            for worker in workers:
                worker.go.set()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert sum(worker.requests for worker in workers) == 1
