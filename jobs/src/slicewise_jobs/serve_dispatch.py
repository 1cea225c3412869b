"""The composition root of `slicewise-jobs dispatch`."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from slicewise_jobs.decisions.pace import GATHER, Pace
from slicewise_jobs.dispatch.gateway import Gateway, gateway_session
from slicewise_jobs.dispatch.loop import Dispatcher, Plan
from slicewise_jobs.dispatch.metrics import DispatchMetrics
from slicewise_jobs.dispatch.running import Bounds, Running
from slicewise_jobs.dispatch.waking import Waking
from slicewise_jobs.internal import build_internal
from slicewise_jobs.serving import open_database, serve, stop_signal
from slicewise_jobs.settings import DispatchSettings
from slicewise_jobs.store.group import GroupCommit
from slicewise_jobs.store.settle import Settled, Settlement, settle
from slicewise_jobs.store.watch import Watch

log = structlog.get_logger(__name__)


async def run_dispatch(settings: DispatchSettings) -> None:
    """Run jobs until SIGTERM or SIGINT; those that run then have `drain_seconds`, and go back to the queue after that."""
    stop = stop_signal()
    async with AsyncExitStack() as stack:
        database, metrics = open_database(settings), DispatchMetrics()
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(gateway_session())
        largest = max(settings.max_body_bytes, settings.max_result_bytes)
        watch = Watch(database, body_bytes=largest, allow_loss=settings.allow_loss, show=metrics.ready.set)
        pace = Pace(settings.slots)
        plan = _plan(settings)
        dispatcher = Dispatcher(database, plan, pace, metrics, watch)

        async def flush(items: Sequence[Settlement]) -> Sequence[Settled]:
            return await settle(database, items, settings.keep_seconds)

        settler = GroupCommit[Settlement, Settled](
            flush, _bytes_of, enough_items=max(1, settings.slots // 4), gather_seconds=GATHER
        )
        url = str(settings.gateway_url)
        gateway = Gateway(url, session, seconds=settings.request_seconds, most_bytes=settings.max_result_bytes)
        stack.callback(gateway.close)
        bounds = Bounds(settings.max_attempts, settings.retry_seconds)
        running = Running(gateway, settler, pace, bounds, metrics, dispatcher.room)
        waking = Waking(settings.api_host, settings.api_port, session, dispatcher.wake, running.cancelled)
        dispatcher.probe = gateway.probe
        # What was found before waits for nothing else.
        watch.on_good = dispatcher.wake
        running.on_change = waking.changed
        internal = build_internal(metrics.registry, watch)
        await serve(stack, internal, settings.host, settings.internal_port, leave_seconds=0.1)
        loops = [watch.run(), waking.run(), dispatcher.renew_leases(running), dispatcher.look()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        claiming = asyncio.create_task(dispatcher.claim_jobs(running, waking))
        log.info("dispatcher runs jobs", pool=settings.pool, owner=plan.owner, slots=settings.slots)
        await _until(stop, [claiming, *tasks])
        log.info("dispatcher ends", running=len(running))
        dispatcher.stopping = True
        dispatcher.room()
        await asyncio.wait([claiming], timeout=settings.database_timeout_seconds)
        await running.drain(settings.drain_seconds)
        for task in tasks:
            task.cancel()


def _plan(settings: DispatchSettings) -> Plan:
    return Plan(
        pool=settings.pool,
        owner=f"{socket.gethostname()[:40]}-{secrets.token_hex(4)}",
        max_attempts=settings.max_attempts,
        lease=settings.lease_seconds,
        renew=settings.renew_seconds,
        poll=settings.poll_seconds,
        keep=settings.keep_seconds,
    )


async def _until(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the signal. A loop that ends has failed, and its error ends the program."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _bytes_of(item: Settlement) -> int:
    return 512 + (len(item.result.body) if item.result else 0)
