"""What Envoy's memory and connections allow, under clients that want more. On a real Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from rig.edge import edge_pod
from rig.envoy import CHAT, STABLE, Rig, route, running, until
from rig.flood import GOAWAY, RST_STREAM, Flood, Http2, peak_bytes
from rig.worker import StartWorkers, Worker

from slicewise.clients.gateways import HttpGateways
from slicewise.envoy import GatewayModel
from slicewise.envoy.measurement import Counts, Reading

HEAP = 96 << 20
CONTAINER = int(HEAP / 0.8)
"""The memory limit that such a heap is made for."""
SHED = [
    f"overload.envoy.load_shed_points.{point}.shed_load_count"
    for point in ("http1_server_abort_dispatch", "http2_server_go_away_and_close_on_dispatch")
]
"""Connections that were closed for their memory. Above the share of the second one Envoy counts those of HTTP/1 there, too."""
ONE = GatewayModel("chat", (route(STABLE),), max_body_bytes=16 << 20, heap_bytes=HEAP)


def pid(rig: Rig) -> int:
    assert rig.process is not None
    return rig.process.pid


async def answers_again(rig: Rig) -> bool:
    with suppress(aiohttp.ClientError):
        return (await rig.ask())[0] == 200
    return False


@pytest.mark.parametrize(("count", "size"), [(400, (1 << 20) - 100), (150, 16 << 20)])
async def test_bodies_that_never_end_stay_within_the_memory_of_the_container(
    tmp_path: Path, start_workers: StartWorkers, count: int, size: int
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, replace(ONE, p95_seconds=5), {f"chat-{STABLE}": workers}) as rig:
        flood = Flood(rig.model.ports.http, count, size)
        flooding = asyncio.create_task(flood.run())

        async def shed() -> bool:
            return flood.is_sent and any([await rig.stat(name) for name in SHED])

        # Gigabytes are sent, which takes a busy machine its time.
        await until(shed, 200, what="connections are closed for their memory")
        assert peak_bytes(pid(rig)) < CONTAINER
        flood.end()
        await flooding
        await until(lambda: answers_again(rig), what="an ordinary request is answered")
        gateways = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        await gateways.counters("127.0.0.1", 5)
        found = await gateways.counters("127.0.0.1", 5)
        assert isinstance(found, Reading)
        counts = found.revisions[STABLE]
        assert isinstance(counts, Counts)
        assert counts.failed == 0, "no revision is judged by the gateway's memory"


async def test_large_requests_that_run_do_not_fill_the_heap(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with running(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as rig:
        size = 15 << 20
        asked = []
        for count in range(1, 10):
            asked.append(asyncio.create_task(rig.ask(body=b"x" * size)))
            await until(lambda: runs(worker, count), what=f"the worker has {count} requests")  # noqa: B023 - awaited here
        assert len(asked) * size > CONTAINER
        assert peak_bytes(pid(rig)) < CONTAINER
        worker.go.set()
        assert [(status, body["bytes"]) for status, body, _ in await asyncio.gather(*asked)] == [(200, size)] * 9


async def runs(worker: Worker, count: int) -> bool:
    return worker.running == count


async def test_a_request_above_a_mebibyte_is_tried_once(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(2)
    for worker in workers:
        worker.mode = "full"
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for size, tries in (((1 << 20) - 1, 2), ((1 << 20) + 1, 1)):
            before = sum(worker.requests for worker in workers)
            status, _, headers = await rig.ask(body=b"x" * size)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert sum(worker.requests for worker in workers) - before == tries


async def test_streams_of_http2_that_never_end_stay_within_the_memory_of_the_container(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        clients = [await Http2.connect(rig.model.ports.http) for _ in range(4)]

        async def press(client: Http2, stream: int) -> None:
            client.begin(stream, 16 << 20)
            await client.send_body(stream, (16 << 20) - 1)

        pressing = [asyncio.create_task(press(client, stream)) for stream in range(1, 41, 2) for client in clients]

        async def shed() -> bool:
            return sum(client.seen[RST_STREAM] + client.seen[GOAWAY] for client in clients) > 0

        await until(shed, what="streams are reset")
        for task in pressing:
            task.cancel()
        await asyncio.gather(*pressing, return_exceptions=True)
        for client in clients:
            client.close()
        assert peak_bytes(pid(rig)) < CONTAINER
        await until(lambda: answers_again(rig), what="an ordinary request is answered")


async def test_requests_taken_back_at_once_end_their_connection_and_reach_no_worker(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        client = await Http2.connect(rig.model.ports.http)
        for stream in range(1, 4001, 2):
            client.begin(stream, 0)
            client.take_back(stream)
        await asyncio.wait_for(client.closed.wait(), 30)
        client.close()
        assert (await rig.ask())[0] == 200
        assert workers[0].requests <= 1 + 200


async def test_who_is_refused_for_memory_is_told_so_in_openai_shape(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    size = 1 << 20
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        held = []
        # One after the other: each takes a hundredth of the heap, and from 80 to 85 hundredths new requests are refused.
        while (answer := await rig.ask())[0] == 200:
            _, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
            held.append(writer)
            writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            writer.write(b"x" * (size - 1))
            await until(lambda: has_read(rig, len(held) * (size - 1)), what="Envoy has the body")
        status, body, headers = answer
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "overloaded", "1")
        async with rig.session.get(f"http://127.0.0.1:{rig.model.ports.stats}/stats/prometheus") as counters:
            assert counters.status == 200, "counters are most wanted now"
        for writer in held:
            writer.close()
        await until(lambda: answers_again(rig), what="an ordinary request is answered")


async def has_read(rig: Rig, count: int) -> bool:
    return (await rig.stat("http.pool.downstream_cx_rx_bytes_total") or 0) >= count


async def outcome(reader: asyncio.StreamReader) -> str:
    try:
        return "closed" if await reader.read(1) == b"" else "answered"
    except ConnectionError:
        return "closed"


@pytest.mark.parametrize("said", [b"", b"POS", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-a: "])
async def test_a_connection_without_a_whole_head_is_closed(
    tmp_path: Path, start_workers: StartWorkers, said: bytes
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
        writer.write(said)
        # Far below the ten minutes that a connection between two requests may be idle.
        with suppress(ConnectionError):
            line = await asyncio.wait_for(reader.readline(), 60)
            assert line == b"" or line.split()[1] == b"408"
        writer.close()


async def test_at_the_bound_of_connections_the_pod_says_so_and_its_own_ports_go_on(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    model = replace(ONE, max_connections=8)
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}) as pod:
        rig = pod.rig
        assert await rig.admin.takes_connections()
        assert (await pod.ask(seed=1)).status == 200  # a connection that is kept
        idle = [await asyncio.open_connection("127.0.0.1", rig.model.ports.http) for _ in range(12)]
        for _, writer in idle:
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = Counter(await asyncio.gather(*(outcome(reader) for reader, _ in idle)))
        assert seen == {"answered": 7, "closed": 5}

        async def is_full() -> bool:
            return not await rig.admin.takes_connections()

        await until(is_full, what="the pod says that it is full")
        assert (await pod.ask(seed=2)).status == 200, "the edge reaches the workers through Envoy's internal port"
        async with aiohttp.request("GET", f"http://127.0.0.1:{rig.model.ports.stats}/stats/prometheus") as answer:
            assert answer.status == 200
        for _, writer in idle:
            writer.close()
        await until(rig.admin.takes_connections, what="it takes connections again")
        assert (await rig.ask())[0] == 200


async def test_many_idle_connections_end_sooner(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(ONE, heap_bytes=16 << 20)
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        # Envoy alone takes more than a fourth of so small a heap.
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
        writer.write(f"GET {CHAT} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.wait_for(reader.read(), 120)  # until it is closed
        writer.close()
