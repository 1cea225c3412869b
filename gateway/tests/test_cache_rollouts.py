"""The response cache beside rollouts: each revision has its own answers, and what is given again judges nobody."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

from rig.edge import edge_pod
from rig.envoy import CANARY, STABLE, route, until
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.envoy import GatewayModel
from slicewise.envoy.measurement import Counts, Reading

ONE = GatewayModel("chat", (route(STABLE),))
LIMIT = 0.5
BOTH = GatewayModel("chat", (route(STABLE, 50), route(CANARY, 50)), p95_seconds=LIMIT)


async def test_a_canary_is_answered_from_its_own_entries_only_and_gets_its_share_of_what_goes_on(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    services = {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}
    names = {STABLE: stable.name, CANARY: canary.name}
    async with edge_pod(tmp_path, BOTH, services) as pod:
        hot = [await pod.ask() for _ in range(100)]
        assert all(json.loads(answer.body)["worker"] == names[str(answer.revision)] for answer in hot)
        hits = Counter(answer.revision for answer in hot if answer.cache == "hit")
        assert min(hits[STABLE], hits[CANARY]) > 20, "and hits are given by weight"
        # Stable has an answer to each of these, the canary to none: a weight applied before the look-up would shift.
        for number in range(100):
            await pod.ask(seed=number)
        before = stable.requests, canary.requests
        fresh = [await pod.ask(seed=number) for number in range(1000, 1200)]
        assert {answer.cache for answer in fresh} == {"miss"}
        went = stable.requests - before[0], canary.requests - before[1]
        assert sum(went) == 200
        assert 60 <= went[1] <= 140, went


async def test_nothing_of_an_aborted_canary_is_given_any_more(tmp_path: Path, start_workers: StartWorkers) -> None:
    stable, canary = await start_workers(2)
    services = {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}
    async with edge_pod(tmp_path, BOTH, services) as pod:

        async def both() -> bool:
            await pod.ask()
            return len(await pod.redis.keys()) == 2

        await until(both, what="both have an entry")
        pod.rig.model = replace(pod.rig.model, routes=(route(STABLE, 100), route(CANARY, 0)))
        assert await pod.rig.apply() == ["rtds.json"]
        answers = [await pod.ask() for _ in range(50)]
        assert {(answer.cache, answer.revision) for answer in answers} == {("hit", STABLE)}


async def test_a_revision_with_other_answers_under_the_same_name_begins_empty(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        await pod.ask()
        await pod.counted("stored_total", 1)
        pod.rig.model = replace(pod.rig.model, routes=(replace(route(STABLE), answers="another"),))
        await pod.rig.apply()
        assert (await pod.ask()).cache == "miss"


async def test_what_the_cache_answers_is_no_part_of_what_a_rollout_is_judged_by(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    model = replace(ONE, p95_seconds=LIMIT)
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": workers}) as pod:
        for number in range(4):
            for _ in range(5):
                await pod.ask(seed=number)
        gateways = HttpGateways(pod.rig.session, stats_port=pod.rig.model.ports.stats)
        asked = workers[0].requests

        async def is_counted() -> bool:
            found = await gateways.counters("127.0.0.1", LIMIT)
            assert isinstance(found, Reading)
            assert set(found.revisions) == {STABLE}
            counts = found.revisions[STABLE]
            assert isinstance(counts, Counts)
            return (counts.requests, counts.failed, counts.timed) == (asked, 0, asked)

        await until(is_counted, what="Envoy has counted what the worker was asked, some a moment after its answer")
        assert workers[0].requests < 10


async def test_what_the_cpu_fallback_answers_is_not_kept_and_says_so_through_the_cache(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    gpu, cpu = await start_workers(2)
    model = GatewayModel("chat", (route(STABLE, fallback=True),), fallback=True)
    async with edge_pod(tmp_path, model, {f"chat-{STABLE}": [gpu], "chat-fallback": [cpu]}) as pod:
        await pod.ask(seed=1)
        await pod.counted("stored_total", 1)
        gpu.ready, fresh = False, count(1000)

        async def is_on_cpu() -> bool:
            return (await pod.ask(seed=next(fresh))).headers.get("x-slicewise-served-by") == "cpu-fallback"

        await until(is_on_cpu, what="the CPU answers")
        kept = len(await pod.redis.keys())
        for seed in range(100, 105):
            answer = await pod.ask(seed=seed)
            assert (answer.cache, answer.revision) == ("miss", "cpu-fallback")
        assert len(await pod.redis.keys()) == kept
        known = await pod.ask(seed=1)
        assert (known.cache, known.revision, known.headers.get("x-slicewise-served-by")) == ("hit", STABLE, None)
