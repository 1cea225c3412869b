"""The life of the process: start-up beside the probes, serving, and the drain.

Drain: at the first SIGTERM the worker is not ready at once, goes on serving for `drain_delay_seconds` until nobody sends
it anything, then takes no more and finishes what runs, within `max_answer_seconds`. A second SIGTERM ends it sooner:
what runs breaks off with an error that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.loop import Engine
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import Phase, WorkerState
from slicewise_worker.http.answer import deliver_into
from slicewise_worker.http.app import Worker, build_app
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.completions import Served
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.startup import StartError, StartInterruptedError, bring_up

log = logging.getLogger(__name__)

_CHECK_SECONDS = 0.5
_KEEP_ALIVE_SECONDS = 75


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the drain decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class EngineFailedError(Exception):
    """The engine or the HTTP server broke while the worker served."""


async def serve(settings: WorkerSettings) -> None:
    """Serve until told to stop; raises `StartError` or `EngineFailedError`."""
    state, metrics = WorkerState(), WorkerMetrics(settings.latency_edge_seconds)
    worker = Worker(settings, state, metrics, created=int(time.time()))
    server = _Server(
        uvicorn.Config(
            build_app(worker),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.max_answer_seconds),
        )
    )
    listening = _listen(settings.host, settings.port)
    signals = _Signals()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        engine = await _start(worker, signals)
        if engine is not None:
            await _until_told(engine, signals, serving)
            await _drain(worker, engine, signals, server, serving)
    except StartError as error:
        state.phase, state.message = Phase.FAILED, str(error)
        raise
    finally:
        server.should_exit = True
        await serving
        if worker.served is not None:
            await asyncio.to_thread(worker.served.engine.stop)
            await asyncio.to_thread(worker.served.template.close)


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

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.stopping = threading.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
        self.stopping.set()


async def _start(worker: Worker, signals: _Signals) -> Engine | None:
    """Return the engine, or None when the worker was told to stop before it served."""
    notify = deliver_into(asyncio.get_running_loop())
    settings = worker.settings
    try:
        started = await asyncio.to_thread(bring_up, settings, worker.state, worker.metrics, notify, signals.stopping)
    except StartInterruptedError:
        log.info("told to stop before the model was loaded")
        return None
    template = ChatTemplate(started.chat, settings.model_name)
    names = frozenset({settings.model_name, *settings.model_aliases})
    worker.served = Served(settings.model_name, names, started.engine, template, settings.max_body_bytes)
    return started.engine


async def _until_told(engine: Engine, signals: _Signals, serving: asyncio.Task[None]) -> None:
    """Return when the worker is told to stop; raises `EngineFailedError` when it breaks, so that it is started again."""
    while not signals.first.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signals.first.wait(), _CHECK_SECONDS)
        if failed := engine.progress().failed:
            raise EngineFailedError(failed)
        if serving.done():
            raise EngineFailedError("the HTTP server ended")


async def _drain(
    worker: Worker, engine: Engine, signals: _Signals, server: uvicorn.Server, serving: asyncio.Task[None]
) -> None:
    settings = worker.settings
    worker.state.draining = True
    log.info("draining: not ready, serving for %g s more", settings.drain_delay_seconds)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(signals.second.wait(), settings.drain_delay_seconds)
    log.info("draining: finishing %d requests", engine.progress().running + engine.progress().waiting)
    server.should_exit = True
    hurry = asyncio.create_task(signals.second.wait())
    await asyncio.wait((hurry, serving), return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        log.warning("told twice to stop: breaking off what runs")
        await asyncio.to_thread(engine.stop)
    hurry.cancel()
    await serving
