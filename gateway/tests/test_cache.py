"""The response cache: what is given again, to whom, and what it costs the workers. On a real Envoy and a real Redis."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from monitored import differs_from_page
from rig.edge import ASK, EdgeRig, edge_pod
from rig.envoy import CHAT, STABLE, route, until
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.envoy import EdgeEndpoint, GatewayModel, ResponseCache, TenantKeys
from slicewise.envoy.measurement import Counts, Reading

ONE = GatewayModel("chat", (route(STABLE),))
LIMIT = 0.5
ACME, OTHER = "key-of-acme-1", "key-of-other-1"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def stored(pod: EdgeRig, count: int) -> None:
    await pod.counted("stored_total", count)


async def test_the_second_of_two_equal_requests_costs_no_worker_anything(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        first = await pod.ask()
        await stored(pod, 1)
        second = await pod.send(json.dumps(dict(reversed(ASK.items())), indent=2).encode())
        assert (first.status, first.cache, first.revision) == (200, "miss", STABLE)
        assert (second.status, second.cache, second.revision) == (200, "hit", STABLE)
        assert second.body == first.body
        assert second.headers["Content-Type"] == first.headers["Content-Type"]
        assert int(second.headers["Age"]) >= 0
        assert "Server" not in second.headers
        assert workers[0].requests == 1
        for word, count in (("hit", 1), ("miss", 1), ("bypass", 0)):
            await pod.counted(f'answers_total{{outcome="{word}"}}', count)
        assert differs_from_page(await pod.metrics(), "Gateway's edge") == set()


@pytest.mark.parametrize("wish", ["use", "bypass"])
async def test_both_ways_take_the_same_headers(tmp_path: Path, start_workers: StartWorkers, wish: str) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        for size, status, code in ((9_000, 200, None), (30_000, 200, None), (33_000, 431, "headers_too_large")):
            answer = await pod.ask(headers={"Cookie": "x" * size, "x-slicewise-cache": wish}, seed=size)
            assert answer.status == status, size
            assert code is None or answer.code == code
        assert 0 < int(workers[0].headers["x-slicewise-timeout-ms"]) <= 85_500
        many = {f"x-a-{number}": "1" for number in range(101)}
        answer = await pod.ask(headers={**many, "x-slicewise-cache": wish})
        assert (answer.status, answer.code) == (431, "headers_too_large")


OTHERS: tuple[dict[str, object], ...] = (
    {"seed": 1},
    {"max_tokens": 5},
    {"user": "eve"},
    {"stream_options": {"include_usage": True}},
    {"never_heard_of": 1},
    {"messages": [{"role": "user", "content": "hi"}]},
)


async def test_a_request_that_differs_in_any_field_is_another_one(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        await pod.ask()
        await stored(pod, 1)
        for other in OTHERS:
            assert (await pod.ask(**other)).cache == "miss", other
        assert (await pod.ask(path="/v1/completions")).cache == "miss"
        assert (await pod.ask(path=f"{CHAT}?x=1")).cache == "bypass"
        assert workers[0].requests == len(OTHERS) + 3


async def test_who_decides_whether_a_cached_answer_will_do(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        use, bypass = {"x-slicewise-cache": "use"}, {"x-slicewise-cache": "bypass"}
        for temperature in (0.7, None, "0", True):
            answers = [(await pod.ask(temperature=temperature)).cache for _ in range(2)]
            assert answers == ["bypass", "bypass"], temperature
        assert (await pod.ask(temperature=0.7, headers=use)).cache == "miss"
        await stored(pod, 1)
        assert (await pod.ask(temperature=0.7, headers=use)).cache == "hit"
        assert (await pod.ask(headers=bypass)).cache == "bypass"
        assert (await pod.ask(headers=bypass)).cache == "bypass"
        assert (await pod.ask()).cache == "miss", "what was asked for past the cache was not stored"
        assert "x-slicewise-cache" not in workers[0].headers


async def test_a_wish_that_is_none_is_refused_in_openai_s_shape(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        answer = await pod.ask(headers={"x-slicewise-cache": "no-store"})
        assert (answer.status, answer.code) == (400, "invalid_header")
        assert "write use or bypass" in json.loads(answer.body)["error"]["message"]
        assert workers[0].requests == 0


async def test_a_stream_is_given_again_byte_for_byte(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.last = "stream", b'data: {"x": "\xc3\xa4"}\n\ndata: [DONE]\n\n'
    worker.go.set()
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        first = await pod.ask(stream=True)
        await stored(pod, 1)
        second = await pod.ask(stream=True)
        assert (first.cache, second.cache) == ("miss", "hit")
        assert second.body == first.body == b"data: first\n\n" + worker.last
        assert second.headers["Content-Type"] == "text/event-stream"
        assert (await pod.ask()).cache == "miss", "an answer that is no stream is another one"


async def test_a_stream_reaches_its_client_as_it_comes(tmp_path: Path, start_workers: StartWorkers) -> None:
    (worker,) = await start_workers(1)
    worker.mode = "stream"
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        for temperature in (0, 1):
            worker.go.clear()
            body = json.dumps({**ASK, "temperature": temperature, "stream": True})
            async with pod.rig.session.post(pod.rig.url + CHAT, data=body) as answer:
                assert await answer.content.readline() == b"data: first\n", "and the worker is not done yet"
                worker.go.set()
                assert await answer.read() == b"\ndata: last\n\n"


NOT_KEPT = {"fails": "status", "ends without [DONE]": "broken", "is too large": "large"}


@pytest.mark.parametrize("how", NOT_KEPT)
async def test_what_is_no_whole_answer_is_not_stored(tmp_path: Path, start_workers: StartWorkers, how: str) -> None:
    (worker,) = await start_workers(1)
    worker.go.set()
    worker.mode = "fail" if how == "fails" else "stream"
    if how == "is too large":
        worker.last = b"data: " + b"x" * 3_000_000 + b"\n\ndata: [DONE]\n\n"
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}, MAX_ENTRY_BYTES=1 << 20) as pod:
        for asked in (1, 2):
            answer = await pod.ask(stream=True)
            assert (answer.status, answer.cache) == (500 if how == "fails" else 200, "miss")
            if how == "is too large":
                assert answer.body == b"data: first\n\n" + worker.last
            await pod.counted(f'not_stored_total{{reason="{NOT_KEPT[how]}"}}', asked)
        assert worker.requests == 2
        assert await pod.redis.keys() == []


async def test_a_stream_that_breaks_is_not_stored_and_breaks_for_all_who_read_it(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.break_stream = "stream", True
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": [worker]}) as pod:
        body = json.dumps({**ASK, "stream": True})
        post = functools.partial(pod.rig.session.post, pod.rig.url + CHAT, data=body)
        async with post() as one, post() as other:
            for answer in (one, other):
                assert await answer.content.readline() == b"data: first\n"
            worker.go.set()
            for answer in (one, other):
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
        assert worker.requests == 1
        assert await pod.redis.keys() == []


async def test_a_stream_that_ends_with_an_error_event_is_a_failure_and_not_stored(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.trailer = "stream", b"x-slicewise-broken: 1"
    worker.last = b'data: {"error":{"code":"timeout"}}\n\n'
    worker.go.set()
    async with edge_pod(tmp_path, replace(ONE, p95_seconds=LIMIT), {f"chat-{STABLE}": [worker]}) as pod:
        body = json.dumps({**ASK, "stream": True}).encode()
        for asked in (1, 2):
            said = await pod.rig.until_closed(body)
            assert said.startswith(b"HTTP/1.1 200")
            assert worker.last in said
            assert worker.requests == asked
        assert await pod.redis.keys() == []
        gateways = HttpGateways(pod.rig.session, stats_port=pod.rig.model.ports.stats)

        async def counted() -> bool:
            found = await gateways.counters("127.0.0.1", LIMIT)
            counts = found.revisions[STABLE] if isinstance(found, Reading) else None
            return isinstance(counts, Counts) and (counts.requests, counts.failed) == (2, 2)

        await until(counted, what="two failures")


async def test_an_entry_lives_no_longer_than_the_pool_says(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(ONE, edge=EdgeEndpoint(), cache=ResponseCache(ttl_seconds=7))
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}) as pod:
        await pod.ask()
        await stored(pod, 1)
        async with pod.redis.client() as client:
            (key,) = await client.keys("*")
            assert 0 < await client.pttl(key) <= 7_000
            await client.pexpire(key, 1)

        async def gone() -> bool:
            return await pod.redis.keys() == []

        await until(gone, what="Redis forgets it")
        assert (await pod.ask()).cache == "miss"


async def test_no_tenant_reads_what_another_one_was_told(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(ONE, tenant_keys=TenantKeys("keys"))
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}, keys={"acme": ACME, "other": OTHER}) as pod:
        await pod.ask(headers=bearer(ACME))
        await stored(pod, 1)
        forged = {**bearer(OTHER), "x-slicewise-tenant": "acme", "X-Slicewise-Tenant": "acme"}
        assert (await pod.ask(headers=forged)).cache == "miss"
        assert workers[0].headers["x-slicewise-tenant"] == "other"
        assert (await pod.ask(headers=bearer(ACME))).cache == "hit"
        assert (await pod.ask()).status == 401
        assert workers[0].requests == 2
        assert len(await pod.redis.keys()) == 2
        async with pod.redis.client() as client:
            for key in await client.keys("*"):
                assert ACME.encode() not in key + await client.get(key)
