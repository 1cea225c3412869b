"""What a rollout is judged by, read from text and from a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.clients.stats_in_flight import InFlight
from slicewise.envoy import GatewayModel, TenantKeys
from slicewise.envoy.measurement import Counts, NoData, Reading, between

LIMIT = 0.5
ERROR_EVENT = b'data: {"error":{"message":"m","type":"server_error","param":null,"code":"timeout"}}\n\n'
"""What a worker ends a stream with that cannot go on."""
MODEL = GatewayModel("chat", (route(STABLE, 1), route(CANARY, 0)), p95_seconds=LIMIT)


async def read(rig: Rig) -> Reading:
    found = await HttpGateways(rig.session, stats_port=rig.model.ports.stats).counters("127.0.0.1", LIMIT)
    assert isinstance(found, Reading), found
    return found


async def stable(rig: Rig) -> Counts:
    counts = (await read(rig)).revisions[STABLE]
    assert isinstance(counts, Counts), counts
    return counts


async def counted(rig: Rig, **wanted: int) -> Counts:
    """Wait until these numbers of the stable revision are there; Envoy writes some of them a moment after the answer."""

    async def has() -> bool:
        counts = await stable(rig)
        return all(getattr(counts, name) == number for name, number in wanted.items())

    try:
        await until(has)
    except AssertionError:
        raise AssertionError(f"{wanted} is not in {await stable(rig)}") from None
    return await stable(rig)


async def test_requests_in_flight_are_those_that_workers_have_not_answered(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker, idle) = await start_workers(2)
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": [idle]}) as rig:
        gateway = HttpGateways(rig.session, stats_port=rig.model.ports.stats)

        async def in_flight(number: int) -> None:
            async def has() -> bool:
                found = await gateway.in_flight("127.0.0.1")
                return isinstance(found, InFlight) and found.requests == number

            await until(has)

        await in_flight(0)
        worker.waits = True
        asked = [asyncio.create_task(rig.ask()) for _ in range(3)]
        await in_flight(3)
        worker.go.set()
        assert [answer[0] for answer in await asyncio.gather(*asked)] == [200] * 3
        await in_flight(0)
        rig.stop()
        assert isinstance(await gateway.in_flight("127.0.0.1"), NoData)


async def test_what_happened_between_two_readings_is_counted_for_each_revision(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker, idle) = await start_workers(2)
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": [idle]}) as rig:
        before = await read(rig)
        assert before.revisions == {STABLE: Counts(), CANARY: Counts()}
        for _ in range(5):
            assert (await rig.ask())[0] == 200
        worker.delay = LIMIT * 3
        for _ in range(2):
            assert (await rig.ask())[0] == 200
        worker.delay, worker.mode = 0, "fail"
        assert (await rig.ask())[0] == 500
        await counted(rig, tries=8, failed=1, timed=8, pending=0)
        after = await read(rig)
        delta = between(before, after, STABLE)
        assert isinstance(delta, Counts)
        # On a busy machine an answer at once may take longer than the limit, too.
        assert (delta.requests, delta.failed, delta.slow >= 2) == (8, 1, True)
        assert between(before, after, CANARY) == Counts()

        rig.stop()
        rig.start()
        await rig.healthy(STABLE, 1)
        assert isinstance(between(after, await read(rig), STABLE), NoData)


async def test_a_request_that_another_worker_took_over_counts_once_and_as_a_success(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    workers[0].mode = "full"
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": workers, f"chat-{CANARY}": []}) as rig:
        count = await rig.ask_until_met(workers[0], at_least=8)
        counts = await counted(rig, timed=count)
        assert (counts.requests, counts.failed) == (count, 0)
        assert counts.retried > 0


async def test_a_stream_that_breaks_after_its_first_byte_is_a_failure(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.break_stream = "stream", True
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            await answer.content.readline()
            worker.go.set()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert (await counted(rig, failed=1)).requests == 1


async def test_a_stream_that_ends_with_an_error_event_is_a_failure_and_costs_the_worker_nothing_else(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.last, worker.trailer = "stream", ERROR_EVENT, b"x-slicewise-broken: 1"
    worker.go.set()
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        for _ in range(10):
            said = await rig.until_closed(b"{}")
            assert said.startswith(b"HTTP/1.1 200")
            assert ERROR_EVENT in said
            assert b"x-slicewise-broken" not in said
        assert (await counted(rig, failed=10)).requests == 10
        worker.trailer = b""
        assert ERROR_EVENT in await rig.until_closed(b"{}")
        assert (await counted(rig, tries=11)).failed == 10


async def test_a_request_that_hangs_is_slow_when_it_crosses_the_limit_and_is_not_counted_again_when_it_ends(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        asked = [asyncio.create_task(rig.ask()) for _ in range(5)]
        counts = await counted(rig, slow=5, pending=5)
        assert (counts.requests, counts.timed, counts.failed) == (5, 5, 0)
        worker.go.set()
        assert {(await each)[0] for each in asked} == {200}
        counts = await counted(rig, pending=0)
        assert (counts.requests, counts.timed, counts.slow) == (5, 5, 5)


async def test_a_client_that_leaves_what_hangs_makes_it_no_better(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        asked = [asyncio.create_task(rig.ask()) for _ in range(3)]
        await counted(rig, slow=3)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        counts = await counted(rig, pending=0)
        assert (counts.requests, counts.timed, counts.slow, counts.left) == (3, 3, 3, 0)


async def test_what_a_client_leaves_before_the_limit_is_counted_apart(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    patient = replace(MODEL, p95_seconds=120.0)
    async with running(tmp_path, patient, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        asked = asyncio.create_task(rig.ask())
        await until(lambda: _is(worker.running, 1))
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        gateways = HttpGateways(rig.session, stats_port=rig.model.ports.stats)

        async def is_left() -> bool:
            found = await gateways.counters("127.0.0.1", 120.0)
            return isinstance(found, Reading) and found.revisions[STABLE] == Counts(tries=1, left=1)

        await until(is_left)
        assert isinstance((await read(rig)).revisions[STABLE], NoData), "counted by another limit"


async def _is(value: object, wanted: object) -> bool:
    return value == wanted


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429])
async def test_what_a_worker_refuses_is_counted_as_refused(
    tmp_path: Path, start_workers: StartWorkers, status: int
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.refusal = "refuse", status
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        for _ in range(3):
            assert (await rig.ask())[0] == status
        counts = await counted(rig, refused=3)
        assert (counts.started, counts.requests, counts.failed, counts.timed) == (3, 0, 0, 0)


async def test_a_worker_that_says_408_has_failed(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.refusal = "refuse", 408
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        assert (await rig.ask())[0] == 408
        counts = await counted(rig, failed=1)
        assert (counts.requests, counts.refused) == (1, 0)


async def test_a_worker_that_dies_with_each_request_fails_and_one_without_a_worker_does(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode = "die"
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        assert (await rig.ask())[0] == 503
        assert (await counted(rig, failed=1)).requests == 1, "tried again, and counted once"
        await worker.stop()
        await rig.healthy(STABLE, 0)
        assert (await rig.ask())[0] == 503
        assert (await counted(rig, failed=2)).requests == 2


async def test_what_envoy_refuses_by_itself_is_not_counted(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(MODEL, tenant_keys=TenantKeys("keys"), max_body_bytes=10)
    services = {f"chat-{STABLE}": workers, f"chat-{CANARY}": []}
    async with running(tmp_path, model, services, acme="key-of-acme") as rig:
        key = {"Authorization": "Bearer key-of-acme"}
        statuses = [(await rig.ask())[0], (await rig.ask(body=b"x" * 11, **key))[0], (await rig.ask("/x", **key))[0]]
        assert statuses == [401, 413, 404]
        assert await stable(rig) == Counts()


async def test_a_client_that_is_slow_to_send_is_not_the_workers_latency(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    patient = replace(MODEL, p95_seconds=1.0)

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1.5)
        yield b"}"

    async with running(tmp_path, patient, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        gateways = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        counts = Counts()

        async def counted(asked: int) -> bool:
            nonlocal counts
            found = await gateways.counters("127.0.0.1", 1.0)
            assert isinstance(found, Reading)
            said = found.revisions[STABLE]
            assert isinstance(said, Counts)
            counts = said
            return (counts.timed, counts.pending) == (asked, 0)

        # On a busy machine the worker itself may need more than the second. Where the client's time counted, each would be slow.
        for asked in range(1, 6):
            async with rig.session.post(rig.url + CHAT, data=body()) as answer:
                assert answer.status == 200
            await until(lambda: counted(asked), what="it is counted")  # noqa: B023 - awaited here
            if counts.slow < asked:
                break
        assert counts == Counts(tries=asked, timed=asked, slow=asked - 1)


async def test_who_does_not_answer_is_no_data(tmp_path: Path, start_workers: StartWorkers) -> None:
    async with aiohttp.ClientSession() as session:
        (worker,) = await start_workers(1)
        assert isinstance(await HttpGateways(session, stats_port=1).counters("127.0.0.1", LIMIT), NoData)
        found = HttpGateways(session, stats_port=worker.port, agent_port=worker.port)
        assert isinstance(await found.counters(worker.address, LIMIT), NoData)
        assert isinstance(await found.info(worker.address), NoData)
        worker.waits = True
        slow = HttpGateways(session, 0.1, stats_port=worker.port)
        assert isinstance(await slow.counters(worker.address, LIMIT), NoData)
        worker.go.set()
