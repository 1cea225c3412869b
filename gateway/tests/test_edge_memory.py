"""Large bodies, and clients that do not read their answers, neither fill the edge nor hold up others. On a real Envoy and a real Redis."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rig.edge import ASK, EdgeRig, edge_pod, has
from rig.envoy import CHAT, STABLE, route, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import GatewayModel

ONE = GatewayModel("chat", (route(STABLE),))
MIB = 1 << 20


def peak(pod: EdgeRig) -> int:
    """Return the most that the edge has ever taken, in bytes."""
    assert pod.process is not None
    status = Path(f"/proc/{pod.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def body(number: int, size: int) -> bytes:
    """A request of so many bytes in three hundred thousand empty objects."""
    start = f'{{"model":"chat","temperature":0,"messages":[],"seed":{number},"x":['.encode()
    return start + b"{}," * ((size - len(start) - 10) // 3) + b"{}]}"


async def test_sixteen_large_requests_at_a_time_cost_the_edge_little(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        assert (await pod.ask()).status == 200
        before = peak(pod)
        worker.waits = True
        asked = [asyncio.create_task(pod.send(body(number, MIB - 1024))) for number in range(16)]

        async def all_run() -> bool:
            return worker.running == 16

        await until(all_run, what="the worker has all of them")
        worker.go.set()
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {200}
        assert {answer.cache for answer in answers} == {"bypass"}
        assert peak(pod) - before < 160 * MIB


async def test_texts_of_a_megabyte_are_kept_and_cost_little_too(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        assert (await pod.ask()).status == 200
        before = peak(pod)
        text = "Lorem ipsum 🦙 dolor. " * (30 * 1024)
        for _ in range(2):
            answers = await asyncio.gather(*(pod.ask(seed=number, prompt=text) for number in range(24)))
            assert {answer.status for answer in answers} == {200}
        assert {answer.cache for answer in answers} == {"hit"}
        assert json.loads(answers[0].body)["bytes"] > 0.6 * MIB
        assert peak(pod) - before < 160 * MIB


LARGE = replace(ONE, max_body_bytes=16 << 20)


async def runs(worker: Worker, count: int) -> None:
    """Wait until the worker has so many requests at a time."""

    async def has_them() -> bool:
        return worker.running == count

    await until(has_them, what=f"the worker has {count} requests")


async def test_large_requests_that_run_hold_up_no_other(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with edge_pod(tmp_path, LARGE, {f"chat-{STABLE}": [worker]}) as pod:
        asked = [asyncio.create_task(pod.send(body(number, 15 * MIB))) for number in range(3)]
        await runs(worker, 3)
        asked.append(asyncio.create_task(pod.ask()))
        await runs(worker, 4)
        worker.go.set()
        assert {(await task).status for task in asked} == {200}


async def test_a_crowd_with_one_large_question_holds_up_no_other(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with edge_pod(tmp_path, LARGE, {f"chat-{STABLE}": [worker]}) as pod:
        text = "x" * (2 * MIB - 1024)
        asked = [asyncio.create_task(pod.ask(prompt=text)) for _ in range(20)]
        await until(lambda: has(pod.rig, "cluster.edge.upstream_rq_active", 20), what="all have joined")
        asked.append(asyncio.create_task(pod.ask()))
        await runs(worker, 2)
        worker.go.set()
        assert {(await task).status for task in asked} == {200}
        assert worker.requests == 2


def reads_nothing(port: int, seed: int) -> socket.socket:
    """Ask as a client that never reads its answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    said = json.dumps({**ASK, "seed": seed}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
    client.sendall(head.encode() + said)
    return client


async def test_clients_that_do_not_read_answers_from_the_cache_cost_the_edge_little(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.padding = "x" * (4 * MIB - 1024)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        for seed in range(40):
            assert (await pod.ask(seed=seed)).cache == "miss"
        await pod.counted("stored_total", 40)
        whole = await pod.ask(seed=0)
        assert (whole.cache, whole.headers["Content-Length"]) == ("hit", str(len(whole.body)))
        before = peak(pod)
        assert pod.rig.model.cache is not None
        # Not by Envoy: the kernel's buffers between the two would take the answers.
        with ExitStack() as slow:
            for number in range(80):
                slow.enter_context(reads_nothing(pod.rig.model.cache.port, number % 40))

            async def all_are_answered() -> bool:
                numbers = await pod.numbers()
                return sum(numbers[f'answers_total{{outcome="{word}"}}'] for word in ("hit", "shared", "bypass")) == 81

            await until(all_are_answered, what="each has the beginning of its answer")
            # Looked up or sent on, which depends on how much of the answers the kernel has taken. Not compared byte by byte:
            # what is sent on is as the client wrote it, so the worker counts other bytes than in what was looked up.
            beside = await pod.ask(seed=0)
            assert beside.status == 200
            assert json.loads(beside.body)["padding"] == worker.padding
            assert peak(pod) - before < 160 * MIB

        async def is_looked_up() -> bool:
            return (await pod.ask(seed=0)).cache == "hit"

        await until(is_looked_up, what="room is free again")
