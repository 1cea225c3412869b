"""From a decision to no request of the canary: the operator's write, the agent's watch, the file, Envoy."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from report import Figure, Report, percentile
from rig.agent import AgentRig, gateway_pod
from rig.envoy import CANARY, STABLE, route, until
from rig.worker import Worker, own_address
from servers.control_plane import control_plane, free_port

from slicewise.envoy import GatewayModel

_RATE = 200.0
"""Requests a second, half of them the canary's until the decision."""
_QUIET = 1.5
"""Seconds without a request of the canary after which none is to come."""


async def decided(report: Report, directory: Path, decisions: int) -> None:
    """Take the canary's share away, so often; time each from the moment the write of the ConfigMap begins."""
    folder = directory / "decided"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(control_plane(folder))
        stable, canary = [Worker(own_address(), free_port()) for _ in range(2)]
        for worker in (stable, canary):
            await worker.start()
            stack.push_async_callback(worker.stop)
        pod = await stack.enter_async_context(gateway_pod(folder, server, GatewayModel("chat", (route(STABLE),))))
        pod.cluster.endpoints(f"chat-{STABLE}", [stable])
        pod.cluster.endpoints(f"chat-{CANARY}", [canary])
        await pod.rig.healthy(STABLE, 1)
        loading = asyncio.create_task(_load(pod))
        stack.callback(loading.cancel)
        took = [await _decide(pod, canary) for _ in range(decisions)]
    note = f"{decisions} decisions at {_RATE:g} requests/s; median {statistics.median(took) * 1000:.0f} ms; ci: fastest and slowest"
    report.add(
        Figure(
            "decision_to_no_canary_request_p99", percentile(took, 99), "s", 1.0, ci=(min(took), max(took)), note=note
        )
    )


async def _load(pod: AgentRig) -> None:
    running: set[asyncio.Task[object]] = set()
    while True:
        task: asyncio.Task[object] = asyncio.create_task(pod.rig.ask())
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(1 / _RATE)


async def _decide(pod: AgentRig, canary: Worker) -> float:
    """Return the seconds from the write until the canary's last request arrives; 0 where none arrives after it."""
    both = (route(STABLE, 50), route(CANARY, 50))
    await asyncio.to_thread(pod.program, replace(pod.rig.model, routes=both))
    seen = canary.requests

    async def asked() -> bool:
        return canary.requests > seen + 20

    await until(asked, what="the canary has requests")
    began, last, count = time.monotonic(), 0.0, canary.requests
    away = replace(pod.rig.model, routes=(route(STABLE, 100), route(CANARY, 0)))
    writing = asyncio.create_task(asyncio.to_thread(pod.program, away))
    while (now := time.monotonic() - began) < last + _QUIET:
        if canary.requests > count:
            last, count = now, canary.requests
        await asyncio.sleep(0.002)
    await writing
    return last
