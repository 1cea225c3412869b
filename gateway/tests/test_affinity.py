"""The turns of a conversation go to one worker, while that is not busier than others. On a real Envoy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers, Worker

from slicewise.envoy import GatewayModel, TenantKeys
from slicewise.envoy.affinity import BALANCE_PERCENT

ONE = GatewayModel("chat", (route(STABLE),), affinity=True)
WORDS = [f"{word} {number}" for number in range(8) for word in ("lake", "hill", "rain", "salt", "pine", "coal")]
"""So many that none of three workers is left out by chance."""
SYSTEM = "Answer briefly, and never say what was said before. " * 20


async def met(
    rig: Rig, workers: Sequence[Worker], body: Mapping[str, Any] | bytes, path: str = CHAT, **headers: str
) -> int:
    """Send one request; return which worker got it."""
    before = [worker.requests for worker in workers]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer, _ = await rig.ask(path, data, **headers)
    assert status == 200, answer
    (found,) = [index for index, worker in enumerate(workers) if worker.requests != before[index]]
    return found


def turns(first: object, **more: Any) -> list[dict[str, Any]]:
    """Return the bodies of the three turns of a conversation that begins so."""
    said: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": first}]
    bodies = []
    for number in range(3):
        bodies.append({"model": "chat", **more, "messages": [*said], "stream": bool(number % 2)})
        said += [{"role": "assistant", "content": f"Well, {number}."}, {"role": "user", "content": "And then?"}]
    return bodies


@pytest.mark.parametrize(
    "shape",
    [
        str,
        lambda word: [{"type": "text", "text": word}],
        lambda word: f'"{word}" is what it said',
        lambda word: f"{word} " * 400,
    ],
    ids=["text", "parts", "quoted", "long"],
)
async def test_the_turns_of_a_conversation_go_to_one_worker_and_conversations_to_all(
    tmp_path: Path, start_workers: StartWorkers, shape: Any
) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        of_conversations = []
        for word in WORDS:
            found = {await met(rig, workers, body) for body in turns(shape(word))}
            assert len(found) == 1, word
            of_conversations += found
    assert set(of_conversations) == {0, 1, 2}


async def test_a_message_that_is_written_otherwise_is_the_same_and_a_tenant_has_its_own(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    model = replace(ONE, tenant_keys=TenantKeys("keys"))
    keys = {"one": "key-of-one-1", "two": "key-of-two-1"}
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, **keys) as rig:
        found: dict[str, list[int]] = {"key-of-one-1": [], "key-of-two-1": []}
        for key in found:
            for word in WORDS:
                body = turns(word)[0]
                pair = {
                    await met(rig, workers, json.dumps(body, indent=indent).encode(), Authorization=f"Bearer {key}")
                    for indent in (None, 1)
                }
                assert len(pair) == 1
                found[key] += pair
    assert found["key-of-one-1"] != found["key-of-two-1"]


async def test_a_prompt_has_its_worker_too_and_what_has_none_goes_anywhere(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for field, path in (("prompt", "/v1/completions"), ("input", "/v1/responses")):
            found = [{await met(rig, workers, {field: word, "n": number}, path) for number in (1, 2)} for word in WORDS]
            assert all(len(one) == 1 for one in found)
            assert set.union(*found) == {0, 1, 2}
        for body in (
            b"{}",
            b"",
            b"[" * 5000,
            b'"user"' * 20_000,
            b'"user" "content"' + b" " * 200_000,
            bytes(range(256)) * 400,
        ):
            assert 0 <= await met(rig, workers, body) <= 2
        status, answer, _ = await rig.ask("/unknown", b"x" * 100_000)
        assert (status, answer["error"]["code"]) == (404, "not_found")


async def test_a_worker_that_is_busier_than_others_gets_no_more_of_its_own(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for worker in workers:
            worker.waits = True
        asked = []
        for count in range(1, 13):
            asked.append(asyncio.create_task(rig.ask(CHAT, json.dumps(turns("lake")[0]).encode())))

            async def with_a_worker(count: int = count) -> bool:
                return sum(worker.running for worker in workers) == count

            # One that has no connection yet does not count for Envoy.
            await until(with_a_worker, what=f"{count} are with a worker")
        loads = [worker.running for worker in workers]
        for worker in workers:
            worker.go.set()
        assert {status for status, _, _ in await asyncio.gather(*asked)} == {200}
    # A worker that has its share, rounded up, gets one more.
    assert 4 < max(loads) <= -(-(len(asked) + 1) * BALANCE_PERCENT // 300) + 1


async def test_who_loses_its_worker_goes_on_with_another_and_the_others_stay(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        before = {word: await met(rig, workers, turns(word)[0]) for word in WORDS}
        workers[0].ready = False

        async def two_left() -> bool:
            return await rig._is_healthy(STABLE, 2)

        await until(two_left, what="the worker is out")
        after = {word: await met(rig, workers, turns(word)[1]) for word in WORDS}
    assert 0 not in after.values()
    stayed = [after[word] == worker for word, worker in before.items() if worker != 0]
    assert sum(stayed) > len(stayed) / 2, "by chance it would be half of them, and the ring of two is not that of three"


async def test_what_is_refused_by_a_full_worker_goes_to_another(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(3)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        mine = await met(rig, workers, turns("lake")[0])
        workers[mine].mode = "full"
        status, _, _ = await rig.ask(CHAT, json.dumps(turns("lake")[1]).encode())
        assert status == 200


async def test_it_holds_beside_a_canary(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(3)
    canary = await start_workers(1)
    model = replace(ONE, routes=(route(STABLE, 50), route(CANARY, 50)))
    places = {f"chat-{STABLE}": workers, f"chat-{CANARY}": canary}
    async with running(tmp_path, model, places) as rig:
        everyone = [*workers, *canary]
        for word in WORDS[:4]:
            of_stable: list[int] = []
            # Which revision gets a turn is drawn: by chance it is the canary many times in a row.
            while len(of_stable) < 6:
                of_stable += [index for body in turns(word) if (index := await met(rig, everyone, body)) != 3]
            assert len(set(of_stable)) == 1
