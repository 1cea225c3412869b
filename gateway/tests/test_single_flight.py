"""Equal requests at the same time are one for the workers. On a real Envoy and a real Redis."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from pathlib import Path

from rig.edge import edge_pod, has
from rig.envoy import STABLE, route, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import GatewayModel

ONE = GatewayModel("chat", (route(STABLE),))
INSIDE = "cluster.edge.upstream_rq_active"
"""Requests that Envoy has given to the edge and that have no answer yet."""


async def test_a_thousand_equal_requests_at_once_are_one_for_the_workers(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.last = "stream", b"data: last\n\ndata: [DONE]\n\n"
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        asking = [asyncio.create_task(pod.ask(stream=True)) for _ in range(1000)]
        await until(lambda: running(worker, 1), what="the worker has it")
        worker.go.set()
        answers = await asyncio.gather(*asking)
        assert {(answer.status, answer.body) for answer in answers} == {(200, b"data: first\n\n" + worker.last)}
        assert worker.requests == 1
        assert Counter(answer.cache for answer in answers) == {"miss": 1, "hit": 999}


async def test_when_who_asked_first_leaves_the_others_get_their_answer(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.last = "stream", b"data: last\n\ndata: [DONE]\n\n"
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        first = asyncio.create_task(pod.ask(stream=True))
        await until(lambda: running(worker, 1), what="the worker has it")
        others = [asyncio.create_task(pod.ask(stream=True)) for _ in range(5)]

        await until(lambda: has(pod.rig, INSIDE, 6), what="all have joined")
        first.cancel()
        await until(lambda: has(pod.rig, INSIDE, 5), what="Envoy has let go of the first")
        worker.go.set()
        assert {(await other).status for other in others} == {200}
        assert worker.requests == 1


async def test_who_joins_before_the_request_is_sent_is_answered_as_a_whole_though_the_first_one_leaves(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}, REDIS_TIMEOUT_SECONDS=3) as pod:
        pod.redis.pause(paused=True)
        first = asyncio.create_task(pod.ask())
        await until(lambda: has(pod.rig, INSIDE, 1), what="the first one is looked up")
        other = asyncio.create_task(pod.ask())
        await until(lambda: has(pod.rig, INSIDE, 2), what="another has joined")
        first.cancel()
        assert (await other).status == 200
        assert json.loads(worker.body)["model"] == "chat"
        pod.redis.pause(paused=False)


async def test_when_all_leave_the_worker_is_told(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        for temperature, requests in ((0, 1), (1, 2)):
            asking = [asyncio.create_task(pod.ask(temperature=temperature)) for _ in range(2)]
            await until(functools.partial(running, worker, requests), what="the worker works")
            for each in asking:
                each.cancel()
            await until(lambda: running(worker, 0), what="the worker may stop")


async def test_a_crowd_whose_answer_fails_asks_once_more_and_not_each_for_itself(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.waits = "fail", True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        asking = [asyncio.create_task(pod.ask()) for _ in range(50)]
        await until(lambda: has(pod.rig, INSIDE, 50), what="all have joined")
        worker.go.set()
        assert {(await each).status for each in asking} == {500}
        assert worker.requests <= 4, "who came while the first one was on its way, and who came later, each twice"


async def running(worker: Worker, count: int) -> bool:
    return worker.running == count
