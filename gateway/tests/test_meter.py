"""A canary on a real Envoy, from its counters to the gate's verdict, by the operator's own parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig.envoy import CANARY, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.clients.gateways import HttpGateways
from slicewise.cluster.meter import NOT_LOOKED, Meter
from slicewise.envoy import GatewayModel
from slicewise.pool.rollout.gate import Assessment, Policy, Verdict, assess
from slicewise.pool.rollout.tally import Tally

LIMIT = 3.0
"""Seconds; so long that an answer at once is below it on a busy machine, too."""
MODEL = GatewayModel("chat", (route(STABLE, 1), route(CANARY, 1)), p95_seconds=LIMIT)
JUDGED = PoolStatus.read(
    {
        "rollout": {
            "phase": "Analysing",
            "target": CANARY,
            "step": 0,
            "verdict": {"since": "2026-01-01T00:00:00Z", "reads": 0},
        }
    }
)
POLICY = Policy(min_samples=1)


async def look(rig: Rig, meter: Meter, limit: float = LIMIT) -> None:
    """Read as the operator does."""
    gateways = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
    asked = time.monotonic()
    said = {"gateway-0": await gateways.counters("127.0.0.1", limit)}
    meter.add(said, STABLE, CANARY, time.monotonic(), asked=asked, limit=limit)


async def found(rig: Rig, meter: Meter, wanted: Callable[[Assessment], bool]) -> Assessment:
    """Look until the gate says what is wanted."""
    says: list[Assessment] = []

    async def is_found() -> bool:
        await look(rig, meter)
        measured = meter.offer(JUDGED)
        says.append(assess(measured.tally, POLICY, window_over=True, pending=measured.pending))
        return wanted(says[-1])

    try:
        await until(is_found)
    except AssertionError:
        raise AssertionError(f"last: {says[-1]} of {meter.offer(JUDGED).tally}") from None
    return says[-1]


async def send(rig: Rig, count: int) -> None:
    await asyncio.gather(*(rig.ask() for _ in range(count)))


async def test_a_failing_canary_is_found_by_what_envoy_counts(tmp_path: Path, start_workers: StartWorkers) -> None:
    stable, canary = await start_workers(2)
    canary.mode = "fail"
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        await send(rig, 20)
        meter = Meter()
        assert meter.offer(JUDGED).trouble == NOT_LOOKED
        await look(rig, meter)
        assert meter.offer(JUDGED).tally.canary.requests == 0, "what came before the first look is not counted"
        await send(rig, 60)
        judged = await found(rig, meter, lambda says: says.verdict is Verdict.FAIL)
        measured = meter.offer(JUDGED)
        assert measured.trouble == ""
        assert measured.tally.canary.requests + measured.tally.stable.requests == 60
        assert measured.tally.canary.failed == measured.tally.canary.requests
        assert measured.tally.stable.failed == 0
        assert judged.cause == "errors"


@pytest.mark.parametrize("status", [400, 404])
async def test_a_canary_that_refuses_everything_is_found_within_20_of_its_requests(
    tmp_path: Path, start_workers: StartWorkers, status: int
) -> None:
    """As when clients keep the name of the old model, or the chat template does not compile."""
    stable, canary = await start_workers(2)
    canary.mode, canary.refusal = "refuse", status
    model = replace(MODEL, routes=(route(STABLE, 3), route(CANARY, 1)))
    async with running(tmp_path, model, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        meter = Meter()
        meter.offer(JUDGED)
        await look(rig, meter)
        says = assess(Tally(), POLICY, window_over=True)
        while canary.requests < 20 and says.verdict is not Verdict.FAIL:
            await rig.ask()
            await look(rig, meter)
            says = assess(meter.offer(JUDGED).tally, POLICY, window_over=True)
            assert says.verdict is not Verdict.PASS
        await found(rig, meter, lambda last: (last.verdict, last.cause) == (Verdict.FAIL, "refusals"))
        assert meter.offer(JUDGED).tally.canary.requests == 0


async def test_a_canary_of_which_a_tenth_of_the_answers_hang_never_passes(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    """None of them has ended when it is found, and none has failed."""
    stable, canary = await start_workers(2)
    canary.hangs = 10
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        meter = Meter()
        meter.offer(JUDGED)
        await look(rig, meter)
        asked: set[asyncio.Task[Any]] = set()

        async def ask_on() -> None:
            while True:
                asked.add(asyncio.create_task(rig.ask()))
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(ask_on())
        policy = Policy()
        hanging = assess(Tally(), policy, window_over=True)
        try:
            async with asyncio.timeout(120):
                while hanging.verdict is not Verdict.FAIL:
                    await look(rig, meter)
                    measured = meter.offer(JUDGED)
                    hanging = assess(measured.tally, policy, window_over=True, pending=measured.pending)
                    assert hanging.verdict is not Verdict.PASS
                    await asyncio.sleep(0.05)
        finally:
            asking.cancel()
            canary.go.set()
            await asyncio.gather(asking, *asked, return_exceptions=True)
        assert hanging.cause == "latency"
        assert measured.tally.canary.failed == 0
        assert measured.pending > 0


async def test_a_slow_canary_is_found_and_a_restart_of_envoy_is_void(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    canary.delay = 1.5 * LIMIT
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        meter = Meter()
        meter.offer(JUDGED)
        await look(rig, meter)
        await send(rig, 50)
        await found(rig, meter, lambda says: says.cause == "latency" and meter.pending == 0)
        before = meter.offer(JUDGED).tally
        await send(rig, 10)
        rig.stop()
        rig.start()
        await rig.healthy(STABLE, 1)
        await look(rig, meter)
        assert meter.offer(JUDGED).tally == before


async def test_a_gateway_that_was_started_with_another_limit_tells_nothing_and_says_why(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    stable, canary = await start_workers(2)
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [stable], f"chat-{CANARY}": [canary]}) as rig:
        meter = Meter()
        meter.offer(JUDGED)
        await look(rig, meter, 0.35)
        await send(rig, 20)

        async def is_told() -> bool:
            await look(rig, meter, 0.35)
            return "started with another limit than 0.35 s" in meter.offer(JUDGED).trouble

        await until(is_told)
        counts = meter.offer(JUDGED).tally
        assert counts.canary.timed == counts.stable.timed == 0
