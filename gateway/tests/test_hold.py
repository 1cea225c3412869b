"""Requests that no worker can take: held, sent on when there is one, refused in time. On a real Envoy."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rig.edge import EdgeRig, edge_pod
from rig.envoy import CANARY, CHAT, STABLE, route, until
from rig.worker import StartWorkers, Worker

from slicewise.clients.gateways import HttpGateways
from slicewise.clients.stats_in_flight import InFlight
from slicewise.envoy import GatewayModel
from slicewise.envoy.measurement import Counts, Reading

ONE = GatewayModel("chat", (route(STABLE),))
LIMIT = 5.0
BOTH = GatewayModel("chat", (route(STABLE, 50), route(CANARY, 50)), p95_seconds=LIMIT)


def nobody(workers: list[Worker]) -> None:
    for worker in workers:
        worker.ready = False


async def test_requests_wait_for_the_first_worker(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        asking = [asyncio.create_task(pod.ask(seed=number)) for number in range(20)]
        await pod.counted("held_requests", 20)
        assert workers[0].requests == 0
        workers[0].ready = True
        for task in asking:
            answer = await task
            assert (answer.status, answer.revision) == (200, STABLE)
            assert json.loads(answer.body)["worker"] == workers[0].name
            assert float(answer.headers["x-slicewise-held"]) > 0
        assert 0 < int(workers[0].headers["x-slicewise-timeout-ms"]) < 85_500, "what is left after the wait"
        assert workers[0].requests == 20
        direct = await pod.ask()
        assert "x-slicewise-held" not in direct.headers
        await pod.counted('held_total{outcome="answered"}', 20)
        await pod.counted("held_seconds_count", 20)
        await pod.counted("held_requests", 0)


async def test_with_a_cache_a_held_request_is_one_however_many_ask_it(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        asking = [asyncio.create_task(pod.ask()) for _ in range(20)]
        await pod.counted("held_requests", 1)
        workers[0].ready = True
        assert {(await task).status for task in asking} == {200}
        assert workers[0].requests == 1


async def test_who_has_waited_long_enough_is_told_to_come_again(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False, HOLD_SECONDS=0.3) as pod:
        # More than Envoy lets a worker fail before it is left out: the edge stays in.
        for _ in range(8):
            answer = await pod.ask()
            assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "no_worker", "5")
            assert float(answer.headers["x-slicewise-held"]) >= 0.3
        await pod.counted('held_total{outcome="expired"}', 8)
        assert workers[0].requests == 0


async def test_who_asks_for_the_models_is_told_to_come_again(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        for path in ("/v1/models", "/v1/models/chat", "/openapi.json"):
            async with pod.rig.session.get(pod.rig.url + path) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (503, "no_worker"), path
                assert answer.headers["Retry-After"] == "5"
        async with pod.rig.session.get(pod.rig.url + CHAT) as answer:
            assert answer.status == 405, await answer.text()
            assert answer.headers["Allow"] == "POST"


async def test_who_finds_no_place_is_told_at_once(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    bounds = {"MAX_HELD_REQUESTS": 2, "MAX_HELD_BYTES": 10_000}
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False, **bounds) as pod:
        first = asyncio.create_task(pod.ask())
        await pod.counted("held_requests", 1)
        large = await pod.ask(x="x" * 20_000)
        assert (large.status, large.headers["Retry-After"]) == (503, "1")
        second = asyncio.create_task(pod.ask())
        await pod.counted("held_requests", 2)
        assert (await pod.ask()).code == "no_worker"
        await pod.counted('held_total{outcome="full"}', 2)
        workers[0].ready = True
        assert [(await task).status for task in (first, second)] == [200, 200]


async def test_who_leaves_is_not_held_and_not_sent_on(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        leaving = asyncio.create_task(pod.ask())
        staying = asyncio.create_task(pod.ask())
        await pod.counted("held_requests", 2)
        leaving.cancel()
        await pod.counted("held_requests", 1)
        await pod.counted('held_total{outcome="left"}', 1)
        workers[0].ready = True
        assert (await staying).status == 200
        assert workers[0].requests == 1


async def test_a_malformed_request_is_not_held(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    nobody(workers)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        answer = await pod.send(b"{")
        assert (answer.status, answer.code) == (400, "invalid_json")


async def test_a_crowd_that_is_too_much_for_the_first_worker_waits_for_the_next(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    nobody(workers)
    workers[0].mode = "full"
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        asking = [asyncio.create_task(pod.ask()) for _ in range(10)]
        await pod.counted("held_requests", 10)
        workers[0].ready = True

        async def refused() -> bool:
            return workers[0].requests >= 10

        await until(refused, what="the first worker has refused them")
        workers[1].ready = True
        answers = [await task for task in asking]
        assert {(answer.status, json.loads(answer.body)["worker"]) for answer in answers} == {(200, workers[1].name)}


async def dies_alone(pod: EdgeRig, worker: Worker) -> None:
    """The worker gets the request, and ends with it when Envoy knows of no other one."""

    async def runs() -> bool:
        return worker.running == 1

    await until(runs, what="the worker has it")
    worker.ready = False
    await pod.rig.healthy(STABLE, 1)  # the edge
    worker.go.set()


@pytest.mark.parametrize("cache", [False, True])
async def test_a_request_that_killed_a_worker_and_was_held_kills_one_more_at_most(
    tmp_path: Path, start_workers: StartWorkers, cache: bool
) -> None:
    workers = await start_workers(4)
    nobody(workers[1:])
    for worker in workers:
        worker.mode = "die"
    workers[0].waits = True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=cache) as pod:
        asking = asyncio.create_task(pod.ask())
        await dies_alone(pod, workers[0])
        await pod.counted("held_requests", 1)
        for worker in workers[1:]:
            worker.ready = True
        answer = await asking
        assert (answer.status, answer.code) == (503, "no_worker")
        assert sum(worker.requests for worker in workers) == 2


@pytest.mark.parametrize("cache", [False, True])
async def test_a_held_request_that_killed_a_worker_kills_one_more_at_most(
    tmp_path: Path, start_workers: StartWorkers, cache: bool
) -> None:
    workers = await start_workers(4)
    nobody(workers)
    for worker in workers:
        worker.mode = "die"
    workers[0].waits = True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=cache) as pod:
        asking = asyncio.create_task(pod.ask())
        await pod.counted("held_requests", 1)
        workers[0].ready = True
        await dies_alone(pod, workers[0])
        for worker in workers[1:]:
            worker.ready = True
        answer = await asking
        assert (answer.status, answer.code) == (503, "no_worker")
        assert sum(worker.requests for worker in workers) == 2


async def test_a_canary_without_workers_costs_no_client_anything_and_is_told_to_the_gate(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    nobody([canary])
    async with edge_pod(tmp_path, BOTH, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}, cache=False) as pod:
        answers = [await pod.ask(seed=number) for number in range(40)]
        assert {(answer.status, answer.revision) for answer in answers} == {(200, STABLE)}
        held = sum("x-slicewise-held" in answer.headers for answer in answers)
        assert 5 <= held <= 35
        assert canary.requests == 0

        async def all_are_counted() -> bool:
            counts = (await reading(pod)).revisions
            stable, canary = counts[STABLE], counts[CANARY]
            assert isinstance(stable, Counts)
            assert isinstance(canary, Counts)
            return stable.requests == 40 and canary.requests == canary.failed >= held and stable.failed == 0

        await until(all_are_counted, what="Envoy has counted them, some a moment after its answer")


async def test_a_canary_does_not_take_the_share_of_a_stable_revision_that_is_down(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    nobody([stable])
    model = replace(BOTH, routes=(route(STABLE, 95), route(CANARY, 5)))
    services = {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}
    async with edge_pod(tmp_path, model, services, cache=False, HOLD_SECONDS=0.5) as pod:
        answers = await asyncio.gather(*(pod.ask(seed=number) for number in range(40)))
        # Two of forty on average; a canary that took the share would have all.
        assert sum(answer.status == 503 for answer in answers) >= 25
        assert canary.requests <= 15


async def reading(pod: EdgeRig) -> Reading:
    gateways = HttpGateways(pod.rig.session, stats_port=pod.rig.model.ports.stats)
    await gateways.counters("127.0.0.1", LIMIT)
    found = await gateways.counters("127.0.0.1", LIMIT)
    assert isinstance(found, Reading)
    return found


async def test_a_held_request_counts_as_one_in_flight_before_a_worker_comes_and_while_it_answers(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    """By these counts a pool without workers is woken, and scaled while it wakes."""
    workers = await start_workers(1)
    nobody(workers)
    workers[0].waits = True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        gateway = HttpGateways(pod.rig.session, stats_port=pod.rig.model.ports.stats)

        async def counts() -> InFlight:
            found = await gateway.in_flight("127.0.0.1")
            assert isinstance(found, InFlight), found
            return found

        before = (await counts()).begun
        asking = [asyncio.create_task(pod.ask(seed=number)) for number in range(5)]
        await pod.counted("held_requests", 5)
        assert await counts() == InFlight(5, before + 5)
        workers[0].ready = True

        async def all_run() -> bool:
            return workers[0].running == 5

        await until(all_run)
        assert await counts() == InFlight(5, before + 5)
        workers[0].go.set()
        assert {(await task).status for task in asking} == {200}
