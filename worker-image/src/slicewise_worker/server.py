"""The life of the process: start-up beside the probes, serving, and the drain.

Drain: at the first SIGTERM the worker is not ready at once, goes on serving for `drain_delay_seconds` or until no client sends
it anything, then takes no more and finishes what runs, each request within the time it was given. A second SIGTERM ends it
sooner: what runs breaks off with an error that says so. The process ends in any case soon after the last of these times,
also when llama.cpp or a client hangs, because the kubelet would wait for the longest time that any request may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import structlog
import uvicorn

from slicewise_worker.digests import StartInterruptedError
from slicewise_worker.engine.embedder import Embedder
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.pairs import Pairs
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.pressure import PressureLimit
from slicewise_worker.health.state import Phase
from slicewise_worker.health.watch import Watch
from slicewise_worker.health.watchdog import End, WatchdogLimits
from slicewise_worker.http.answer import deliver_into
from slicewise_worker.http.app import Worker, build_app
from slicewise_worker.http.body import BodyLimits
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.deadline import Patience
from slicewise_worker.http.intake import Intake, IntakeLimits
from slicewise_worker.http.served import Served
from slicewise_worker.http.trailer import TrailerProtocol
from slicewise_worker.http.vectors import ServedVectors
from slicewise_worker.last_words import give_up
from slicewise_worker.proof import StartError
from slicewise_worker.settings import WorkerSettings, traces_are_asked_for
from slicewise_worker.startup import Started

if TYPE_CHECKING:
    from slicewise_worker.http.spans import Spans
    from slicewise_worker.starting import Starting

log = structlog.get_logger(__name__)

_CHECK_SECONDS = 0.5
_LEAVE_SECONDS = 2.0
"""What a worker that ends at once gives the engine to stop, and as much again its clients to read their errors."""
_KEEP_ALIVE_SECONDS = 75
_QUIET_SECONDS = 3.0
"""A draining worker to which nothing was sent for so long ends."""
_LAST_SECONDS = 10
"""How long after the last deadline what still runs is broken off, and as long after that the process ends."""
_BODY_VALUES = 200_000
"""JSON values of a body that are no tokens: 10,000 messages have some 100,000."""
_MOST_TOKEN_VALUES = 1_000_000


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the drain decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class EngineFailedError(Exception):
    """The engine or the HTTP server broke while the worker served."""


async def serve(starting: Starting) -> None:
    """Serve until told to stop; raises `StartError` or `EngineFailedError`."""
    try:
        await _serve(starting)
    finally:
        await asyncio.to_thread(starting.close)


async def _serve(starting: Starting) -> None:
    settings, state = starting.settings, starting.state
    metrics, spans = WorkerMetrics(settings.p95_seconds, settings.max_token_gap_seconds), _spans(settings)
    worker = Worker(settings, state, metrics, created=int(time.time()), spans=spans)
    server = _Server(
        uvicorn.Config(
            build_app(worker),
            http=TrailerProtocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
    )
    listening = _listen(settings.host, settings.port)
    signals = _Signals(starting.stopping)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        started = await _start(worker, starting)
        if started is not None:
            engine = started.engine
            end = await _until_told(engine, _watch(worker, started), signals, serving)
            if end is not None:
                await _leave(worker, server, end)
            await _drain(worker, engine, signals, server, serving)
    except StartError as error:
        state.phase, state.message = Phase.FAILED, str(error)
        raise
    finally:
        server.should_exit = True
        await serving
        if worker.served is not None:
            await asyncio.to_thread(worker.served.engine.stop)
            await asyncio.to_thread(worker.served.close)
        if spans is not None:
            await asyncio.to_thread(spans.close, _LEAVE_SECONDS)


def _spans(settings: WorkerSettings) -> Spans | None:
    known = {"name": settings.model_name, "pool": settings.pool, "revision": settings.revision, "zone": settings.zone}
    try:
        if not traces_are_asked_for():
            return None
        from slicewise_worker.http.spans import Spans  # noqa: PLC0415 - 9 MiB that others need not have

        return Spans({f"slicewise.{key}": text for key, text in known.items()})
    except ValueError as error:
        raise StartError(EndReason.BAD_SETTINGS, f"OpenTelemetry's variables: {error}") from None


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; uvicorn itself would end the process in the middle of the start-up when it cannot bind."""
    family = socket.AF_INET if "." in host else socket.AF_INET6
    both = not host and socket.has_dualstack_ipv6()
    if not host and not both:
        family = socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
    except OSError as error:
        raise StartError(
            EndReason.PORT_UNUSABLE, f"cannot listen on {host or 'any address'}, port {port}: {error.strerror}"
        ) from error


class _Signals:
    """SIGTERM and SIGINT as events: `first` asks for a drain, `second` for an end."""

    def __init__(self, stopping: threading.Event) -> None:
        self.first, self.second, self._stopping = asyncio.Event(), asyncio.Event(), stopping
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if stopping.is_set():
            self.first.set()

    def _on_signal(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
        self._stopping.set()


async def _start(worker: Worker, starting: Starting) -> Started | None:
    """Return what serves, or None if the worker had to stop before it served."""
    starting.delivery.into(deliver_into(asyncio.get_running_loop()))
    try:
        started = await asyncio.wrap_future(starting.outcome)
    except StartInterruptedError:
        log.info("asked to terminate before the model was loaded")
        return None
    worker.settings = started.settings
    started.engine.observer = worker.metrics
    worker.describe(started.engine.progress)
    worker.served = _served(started)
    worker.state.phase = Phase.SERVING
    return started


def _watch(worker: Worker, started: Started) -> Watch:
    settings = started.settings
    limits = WatchdogLimits(
        pressure=PressureLimit(settings.memory_pressure, settings.memory_pressure_seconds),
        period=settings.watchdog_seconds,
        stall_after=settings.stall_after_seconds,
    )
    watch = Watch(worker.state, started.planned, limits, started.engine.progress, started.reader)
    worker.metrics.watch_health(
        fit=lambda: not worker.state.unfit,
        container=watch.container,
        device=lambda: watch.device_memory(time.monotonic()),
    )
    return watch


def _served(started: Started) -> Served | ServedVectors:
    settings, name = started.settings, started.settings.model_name
    names = frozenset({name, *settings.model_aliases})
    intake = Intake(intake_limits(settings))
    if isinstance(started.engine, Embedder):
        return ServedVectors(name, names, started.engine, intake, started.role, Pairs(started.engine.model))
    adapters = tuple(started.engine.model.adapters)
    template = ChatTemplate(started.chat, name)
    return Served(name, names.union(adapters), started.engine, template, intake, adapters)


def intake_limits(settings: WorkerSettings) -> IntakeLimits:
    """Return the bounds of what the worker takes on."""
    tokens = min(settings.context_tokens * settings.parallel_sequences, _MOST_TOKEN_VALUES)
    return IntakeLimits(
        BodyLimits(settings.max_body_bytes, settings.body_memory_bytes, _BODY_VALUES + tokens),
        Patience(settings.default_answer_seconds, settings.max_answer_seconds),
        requests=settings.parallel_sequences + settings.max_queue,
    )


async def _until_told(
    engine: Engine | Embedder, watch: Watch, signals: _Signals, serving: asyncio.Task[None]
) -> End | None:
    """Return when the worker has to stop: None when it is asked to, else why; raises `EngineFailedError` when the engine breaks."""
    while not signals.first.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signals.first.wait(), _CHECK_SECONDS)
        if failed := engine.progress().failed:
            raise EngineFailedError(failed)
        if serving.done():
            raise EngineFailedError("the HTTP server ended")
        if end := watch.look(time.monotonic()):
            return end
    return None


async def _leave(worker: Worker, server: uvicorn.Server, end: End) -> NoReturn:
    """End the process, whatever hangs: what still runs gets an error where the engine can be stopped."""
    worker.state.phase, worker.state.message = Phase.FAILED, end.message
    status = give_up(end.reason, end.message, worker.settings.termination_log)
    if worker.served is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(worker.served.engine.stop), _LEAVE_SECONDS)
    if answering := server.server_state.tasks:
        await asyncio.wait(answering, timeout=_LEAVE_SECONDS)
    # A thread in a call that does not return keeps an interpreter from ending.
    os._exit(status)


async def _drain(
    worker: Worker, engine: Engine | Embedder, signals: _Signals, server: uvicorn.Server, serving: asyncio.Task[None]
) -> None:
    settings = worker.settings
    worker.state.draining = True
    log.info("draining: not ready, still serving", seconds=settings.drain_delay_seconds)
    await _until_nobody_sends(worker, signals)
    log.info("draining: finishing requests", requests=engine.progress().running + engine.progress().waiting)
    server.should_exit = True
    left = max(0.0, (worker.served.intake.latest_deadline if worker.served else 0.0) - time.monotonic()) + _LAST_SECONDS
    _end_after(left + _LAST_SECONDS)
    hurry = asyncio.create_task(signals.second.wait())
    await asyncio.wait((hurry, serving), timeout=left, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        why = "asked twice to terminate" if hurry.done() else "the time of every request is over"
        log.warning("draining: breaking off what runs", reason=why)
        await asyncio.to_thread(engine.stop)
        # Clients get an error; one that does not read its last bytes is not waited for.
        await asyncio.wait((serving,), timeout=_LAST_SECONDS / 2)
        server.force_exit = True
    hurry.cancel()
    await serving


async def _until_nobody_sends(worker: Worker, signals: _Signals) -> None:
    """Return after the drain's delay, at the second signal, or once no request has come for `_QUIET_SECONDS`.

    A gateway learns of the drain within milliseconds. The delay is for those that have not heard of it, and who is not heard
    of for seconds has or sends nothing. Were one to send after all, its connection is refused, and the gateway asks another worker.
    """
    begin = time.monotonic()
    end = begin + worker.settings.drain_delay_seconds
    while (now := time.monotonic()) < end:
        latest = worker.served.intake.latest_arrival if worker.served else 0.0
        quiet = max(begin, latest) + _QUIET_SECONDS
        if quiet <= now:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signals.second.wait(), min(quiet, end) - now)
            return


def _end_after(seconds: float) -> None:
    """End the process in `seconds` if it still runs then, whatever its threads do."""

    def end() -> None:
        log.error("draining: still running, ending the process", seconds=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
