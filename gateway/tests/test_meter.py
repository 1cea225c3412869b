"""A canary on a real Envoy, from its counters to the gate's verdict, by the operator's own parts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from rig.envoy import CANARY, STABLE, Rig, route, running
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.controller.meter import NOT_LOOKED, Meter
from slicewise.gateway import GatewayModel
from slicewise.pool.rollout.gate import Policy, Verdict, assess

LIMIT = 0.5
MODEL = GatewayModel("chat", (route(STABLE, 1), route(CANARY, 1)), p95_seconds=LIMIT)
JUDGED: dict[str, Any] = {
    "rollout": {
        "phase": "Analysing",
        "target": CANARY,
        "step": 0,
        "verdict": {"since": "2026-01-01T00:00:00Z", "reads": 0},
    }
}
POLICY = Policy(min_samples=1)


async def look(rig: Rig, meter: Meter, limit: float = LIMIT) -> None:
    """Read as the operator does; twice, for a histogram shows what was answered before the read before."""
    for _ in range(2):
        gateways = HttpGateways(rig.session, stats_port=rig.model.ports.stats)
        meter.add({"gateway-0": await gateways.counters("127.0.0.1", limit)}, STABLE, CANARY, time.monotonic())


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
        await look(rig, meter)
        measured = meter.offer(JUDGED)
        assert measured.trouble == ""
        assert measured.tally.canary.requests + measured.tally.stable.requests == 60
        assert measured.tally.canary.failed == measured.tally.canary.requests
        assert measured.tally.stable.failed == 0
        found = assess(measured.tally, POLICY, window_over=False)
        assert (found.verdict, found.cause) == (Verdict.FAIL, "errors")


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
        await look(rig, meter)
        before = meter.offer(JUDGED).tally
        assert assess(before, POLICY, window_over=False).cause == "latency"
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
        await look(rig, meter, 0.35)
        measured = meter.offer(JUDGED)
        assert "the histogram has no edge at 0.35 s" in measured.trouble
        assert measured.tally.canary.requests == measured.tally.stable.requests == 0
