"""Bodies that take thirty times as much once they are parsed do not fill the edge. On a real Envoy and a real Redis."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from rig.edge import EdgeRig, edge_pod
from rig.envoy import STABLE, route, until
from rig.worker import StartWorkers

from slicewise.gateway import GatewayModel

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
