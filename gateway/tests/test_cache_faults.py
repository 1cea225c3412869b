"""The response cache when Redis, the edge, a client or an entry is not as it should be. On a real Envoy and a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from rig.edge import ASK, Answer, EdgeRig, becomes, edge_pod, has
from rig.envoy import CHAT, STABLE, route, until
from rig.worker import StartWorkers
from servers.processes import free_port

from slicewise.envoy import GatewayModel
from slicewise_gateway.edge.server import build_door

ONE = GatewayModel("chat", (route(STABLE),))


async def load(pod: EdgeRig, answers: list[Answer], stop: asyncio.Event) -> None:
    """Ask the same four questions again and again, one after the other."""
    number = 0
    while not stop.is_set():
        number += 1
        answers.append(await pod.ask(seed=number % 4))


async def test_a_redis_that_is_killed_under_load_costs_no_request_and_is_used_again_when_it_is_back(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        stop = asyncio.Event()
        answers: list[list[Answer]] = [[] for _ in range(4)]
        tasks = [asyncio.create_task(load(pod, each, stop)) for each in answers]

        async def lately(word: str) -> None:
            marks = [len(each) for each in answers]
            async with asyncio.timeout(90):
                while word not in {a.cache for each, mark in zip(answers, marks, strict=True) for a in each[mark:]}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

        await lately("hit")
        pod.redis.kill()
        await pod.counted("redis_left_alone", 1)
        await lately("bypass")
        await pod.redis.start()
        await pod.counted("redis_left_alone", 0)
        await lately("hit")
        stop.set()
        await asyncio.gather(*tasks)
        assert {answer.status for each in answers for answer in each} == {200}
        numbers = await pod.numbers()
        assert numbers['redis_errors_total{kind="connection"}'] >= 3
        assert numbers['redis_errors_total{kind="skipped"}'] > 0


async def test_a_redis_that_does_not_answer_holds_up_nobody_for_long(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, REDIS_TIMEOUT_SECONDS=0.05) as pod:
        await becomes(pod, "hit")
        pod.redis.pause(paused=True)
        answers = [await pod.ask(seed=number) for number in range(10)]
        assert {(answer.status, answer.cache) for answer in answers} == {(200, "bypass")}
        numbers = await pod.numbers()
        # Three in a row wait for it, then nobody does until its next try.
        assert numbers['redis_errors_total{kind="timeout"}'] >= 3
        assert numbers['redis_errors_total{kind="skipped"}'] >= 1
        pod.redis.pause(paused=False)
        await becomes(pod, "hit")


async def test_a_redis_has_as_long_as_it_is_given(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, REDIS_TIMEOUT_SECONDS=100) as pod:
        pod.redis.pause(paused=True)
        asking = asyncio.create_task(pod.ask())
        # Longer than a write has where nothing else is said.
        await asyncio.sleep(1.5)
        pod.redis.pause(paused=False)
        assert (await asking).cache == "miss"
        await pod.counted("stored_total", 1)


@pytest.mark.parametrize("temperature", [0, 1])
async def test_a_worker_has_less_time_for_a_request_that_has_waited_here(
    tmp_path: Path, start_workers: StartWorkers, temperature: int
) -> None:
    (worker,) = await start_workers(1)
    text = "x" * 600_000
    bounds = {"REDIS_TIMEOUT_SECONDS": 1, "MAX_CACHED_REQUEST_BYTES": 1_000_000}
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}, **bounds) as pod:
        pod.redis.pause(paused=True)
        # It holds the room for bodies until Redis has not answered.
        first = asyncio.create_task(pod.ask(prompt=text))
        await until(lambda: has(pod.rig, "cluster.edge.upstream_rq_active", 1), what="the first one is looked up")
        assert (await pod.ask(prompt=text, temperature=temperature, seed=1)).status == 200
        if temperature == 0:
            assert int(worker.headers["x-slicewise-timeout-ms"]) <= 85_500 - 1000, "it has waited for Redis as well"
        assert int(worker.headers["x-slicewise-timeout-ms"]) < 85_500
        assert (await first).status == 200
        pod.redis.pause(paused=False)


async def test_requests_that_redis_cannot_join_are_joined_all_the_same(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.waits = True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        pod.redis.kill()
        asking = [asyncio.create_task(pod.ask()) for _ in range(20)]
        await until(lambda: has(pod.rig, "cluster.edge.upstream_rq_active", 20), what="all have joined")
        worker.go.set()
        answers = await asyncio.gather(*asking)
        assert Counter(answer.cache for answer in answers) == {"bypass": 1, "hit": 19}
        assert worker.requests == 1


async def test_what_is_no_answer_of_ours_is_a_miss_and_is_replaced(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, MAX_ENTRY_BYTES=1000) as pod:
        first = await pod.ask()
        await pod.counted("stored_total", 1)
        async with pod.redis.client() as client:
            (key,) = await client.keys("*")
            good = await client.get(key)
            await pod.ask(seed=1)
            await pod.counted("stored_total", 2)
            (other,) = [name for name in await client.keys("*") if name != key]
            poisons = {
                "rubbish": b"\x00\xff<html>",
                "cut": good[:-1],
                "changed": good[:-3] + b"x" + good[-2:],
                "of another key": await client.get(other),
                "huge": b"x" * 5_000_000,
                "empty": b"",
                "of another type": None,
            }
            for number, (name, poison) in enumerate(poisons.items()):
                await client.delete(key)
                await (client.rpush(key, "x") if poison is None else client.set(key, poison))
                answer = await pod.ask()
                assert (answer.status, answer.cache, answer.body) == (200, "miss", first.body), name
                await pod.counted("stored_total", 3 + number)
                assert (await pod.ask()).cache == "hit", name


MALFORMED = {
    "none": b"",
    "cut": b"{",
    "list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "no UTF-8": b"\xff\xfe",
    "NaN": b'{"temperature": NaN}',
    "deep object": b'{"a":' * 40_000,
    "deep list": b"[" * 90_000,
    "long number": b'{"seed": ' + b"9" * 5_000 + b"}",
    "gzip": b"\x1f\x8b\x08\x00",
}


async def test_a_malformed_request_is_said_so_and_costs_no_worker_anything(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        for name, body in MALFORMED.items():
            answer = await pod.send(body)
            assert (answer.status, answer.code) == (400, "invalid_json"), name
            assert set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}
        assert workers[0].requests == 0
        assert (await pod.ask()).status == 200


async def test_a_field_that_is_given_twice_is_sent_on_as_it_was_understood(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        answer = await pod.send(b'{"seed": 1, "temperature": 1, "temperature": 0, "seed": 2}')
        assert (answer.cache, json.loads(worker.body)) == ("miss", {"seed": 2, "temperature": 0})
        assert b"1" not in worker.body


async def test_large_requests_pass_and_too_large_ones_are_refused(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        long = "ä" * 400_000
        for cache, temperature in (("miss", 0), ("bypass", 1)):
            body = json.dumps({**ASK, "temperature": temperature, "x": long}, ensure_ascii=False).encode()
            assert len(body) > 800_000
            answer = await pod.send(body)
            assert (answer.status, answer.cache) == (200, cache)
            assert json.loads(worker.body)["x"] == long
        too_large = await pod.send(b'{"x": "' + b"x" * (1 << 20) + b'"}')
        assert too_large.code == "request_too_large"
        assert worker.requests == 2


async def test_an_edge_that_is_gone_costs_the_cache_and_no_request(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        stop = asyncio.Event()
        answers: list[Answer] = []
        task = asyncio.create_task(load(pod, answers, stop))
        await pod.counted('answers_total{outcome="miss"}', 4)
        worker.delay = 0.3
        late = asyncio.create_task(pod.ask(seed=99))
        await asyncio.sleep(0)
        pod.kill()
        mark = len(answers)
        async with asyncio.timeout(90):
            while len(answers) < mark + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert {answers[-1].cache, answers[-1].revision} == {None, STABLE}
        worker.delay = 0
        await pod.start()
        async with asyncio.timeout(90):
            while answers[-1].cache is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        stop.set()
        await task
        assert {answer.status for answer in [*answers, await late]} == {200}


async def test_unknown_methods_and_models_are_no_business_of_the_cache(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        async with pod.rig.session.get(pod.rig.url + CHAT) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (405, "method_not_allowed")
            assert answer.headers["Allow"] == "POST"
        async with pod.rig.session.get(pod.rig.url + "/v1/models") as answer:
            assert answer.status == 200
        numbers = await pod.numbers()
        assert numbers['answers_total{outcome="bypass"}'] == 0
        assert worker.requests == 1


async def test_odd_requests_are_answered_in_openai_shape_or_served(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        assert (await pod.ask(headers={"Expect": "wonders"})).status == 200
        for wish in ("use", "bypass"):
            reader, writer = await asyncio.open_connection("127.0.0.1", pod.rig.model.ports.http)
            head = f"POST {CHAT}?x=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-slicewise-cache: {wish}\r\n"
            writer.write(f"{head}Content-Length: 2\r\n\r\n{{}}".encode("latin-1"))
            said, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert said.split()[1] == b"400"
            assert json.loads(body)["error"]["code"] == "bad_request"
        assert worker.requests == 1


async def test_a_fault_of_the_edge_itself_is_said_in_openai_shape() -> None:
    async def fails(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("a fault")

    runner = web.AppRunner(build_door(fails, 100))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.request("POST", f"http://127.0.0.1:{port}{CHAT}") as answer:
        assert answer.status == 500
        assert (await answer.json())["error"]["code"] == "internal_error"
    await runner.cleanup()
