"""The composition root of `slicewise-jobs api`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from slicewise_jobs.batches.keeper import Keeper, Plan
from slicewise_jobs.http.backlog import Backlog
from slicewise_jobs.http.batches import Batches
from slicewise_jobs.http.events import Events
from slicewise_jobs.http.files import Files
from slicewise_jobs.http.hub import Hub
from slicewise_jobs.http.intake import Intake
from slicewise_jobs.http.jobs import Jobs, build_public, in_words
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_jobs.http.openapi import document
from slicewise_jobs.http.operate import Operate
from slicewise_jobs.http.responses import Responses
from slicewise_jobs.internal import build_internal
from slicewise_jobs.serving import open_database, serve, stop_signal
from slicewise_jobs.settings import ApiSettings
from slicewise_jobs.store.files import CHUNK_BYTES, Room
from slicewise_jobs.store.group import GroupCommit
from slicewise_jobs.store.submit import Accepted, NewJob, submit
from slicewise_jobs.store.watch import Watch

log = structlog.get_logger(__name__)
_LEAVE_SECONDS = 15.0


async def run_api(settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT; jobs that have arrived by then are still accepted."""
    stop = stop_signal()
    async with AsyncExitStack() as stack:
        database, metrics = open_database(settings), ApiMetrics()
        stack.push_async_callback(database.close)
        hub = Hub(metrics)

        async def flush(new: Sequence[NewJob]) -> Sequence[Accepted]:
            accepted = await submit(database, settings.pool, new)
            metrics.commits.inc()
            hub.wake(sum(item.new for item in accepted))
            return accepted

        watch = Watch(
            database,
            body_bytes=max(settings.max_body_bytes, CHUNK_BYTES),
            allow_loss=settings.allow_loss,
            show=metrics.ready.set,
        )
        loops: list[asyncio.Task[None]] = []
        stack.callback(lambda: [loop.cancel() for loop in loops])
        inbox = GroupCommit[NewJob, Accepted](flush, lambda job: len(job.body) + 512)
        stack.push_async_callback(inbox.close)
        jobs = Jobs(
            database=database,
            pool=settings.pool,
            model=settings.model,
            chat=settings.chat,
            keep_seconds=settings.keep_seconds,
            inbox=inbox,
            backlog=Backlog(database, settings.pool, settings.max_backlog_jobs, settings.max_backlog_bytes),
            intake=Intake(settings.max_body_bytes, settings.max_body_memory_bytes),
            hub=hub,
            metrics=metrics,
            watch=watch,
        )
        keeper = Keeper(database, _keeper_plan(settings), hub, watch)
        public, events = for_clients(settings, jobs, keeper)
        internal = build_internal(metrics.registry, watch, in_words(watch))
        Operate(database, settings.pool, settings.keep_seconds, hub).add_to(internal)
        internal.router.add_get("/v1/dispatchers", hub.serve)
        await serve(stack, internal, settings.host, settings.internal_port, leave_seconds=0.1)
        await serve(stack, public, settings.host, settings.port, leave_seconds=_LEAVE_SECONDS)
        # Only now: it is ready once the database was good, and clients' requests have to find it then.
        loops += [asyncio.create_task(watch.run()), asyncio.create_task(keeper.run())]
        log.info("api serves", pool=settings.pool, port=settings.port)
        loops.append(asyncio.create_task(events.sweep()))
        await stop.wait()
        events.end()
        log.info("api ends")


def for_clients(settings: ApiSettings, jobs: Jobs, keeper: Keeper) -> tuple[web.Application, Events]:
    """Return all that clients may ask for, and what follows the events of jobs."""
    public = build_public(jobs)
    _files(settings, jobs).add_to(public)
    _batches(settings, jobs, keeper).add_to(public)
    Responses(jobs).add_to(public)
    events = Events(jobs, most=settings.max_streams, of_tenant=settings.max_tenant_streams)
    events.add_to(public)
    document.add_to(public)
    return public, events


def _keeper_plan(settings: ApiSettings) -> Plan:
    return Plan(
        pool=settings.pool,
        model=settings.model,
        most_body_bytes=settings.max_body_bytes,
        most_lines=settings.max_batch_lines,
        window=settings.batch_window,
        keep_job_seconds=settings.keep_seconds,
        keep_file_seconds=settings.keep_files_seconds,
    )


def _files(settings: ApiSettings, jobs: Jobs) -> Files:
    return Files(
        database=jobs.database,
        pool=settings.pool,
        most_bytes=settings.max_file_bytes,
        room=Room(settings.max_files, settings.max_files_bytes),
        keep_seconds=settings.keep_files_seconds,
        intake=jobs.intake,
        metrics=jobs.metrics,
        watch=jobs.watch,
    )


def _batches(settings: ApiSettings, jobs: Jobs, keeper: Keeper) -> Batches:
    return Batches(
        database=jobs.database,
        pool=settings.pool,
        most_open=settings.max_batches,
        keep_job_seconds=settings.keep_seconds,
        intake=jobs.intake,
        keeper=keeper,
        hub=jobs.hub,
        watch=jobs.watch,
    )
