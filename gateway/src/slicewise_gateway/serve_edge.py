"""The composition root of the edge."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web

from slicewise_gateway.edge.hold import Hold
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.edge.runtime import RuntimeFile
from slicewise_gateway.edge.server import Handler, build_door, build_numbers
from slicewise_gateway.edge.upstream import Upstream, new_session
from slicewise_gateway.edge.waiting import WaitingRoom
from slicewise_gateway.edge.waking import read_waking
from slicewise_gateway.edge.workers import WorkersOfEnvoy
from slicewise_gateway.memory import release
from slicewise_gateway.settings import EdgeSettings

log = structlog.get_logger(__name__)

_LEAVE_SECONDS = 5.0
_LOOPBACK = "127.0.0.1"
_HEAD_BYTES = 64 << 10


async def run_edge(settings: EdgeSettings) -> None:
    """Serve until SIGTERM or SIGINT. The kubelet ends the edge after the agent, so nothing runs then that is worth waiting for."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        metrics, runtime = EdgeMetrics(), RuntimeFile(settings.directory)
        session = await stack.enter_async_context(new_session())
        upstream = Upstream(settings.internal_url, session)
        envoy = WorkersOfEnvoy(settings.envoy_admin, settings.hold_port, session)

        async def is_open() -> bool:
            return runtime.current().most_can_go_on(await envoy.healthy())

        def hold_seconds() -> float:
            return min(settings.hold_seconds, runtime.current().hold_seconds or settings.hold_seconds)

        room = WaitingRoom(settings.max_held_requests, settings.max_held_bytes, is_open)
        stack.push_async_callback(room.close)
        waking = partial(read_waking, settings.directory)
        hold = Hold(room, hold_seconds, upstream, metrics, settings.max_body_bytes, waking)
        doors: list[tuple[Handler, int]] = [(hold.handle, settings.hold_port)]
        if settings.redis_url_file is not None:
            doors.append((await _cache(stack, settings, runtime, upstream, metrics), settings.cache_port))
        for handle, port in doors:
            await _serve(stack, build_door(handle, settings.max_body_bytes), _LOOPBACK, port)
        await _serve(stack, build_numbers(metrics), None, settings.metrics_port)
        log.info("edge serves", response_cache=settings.redis_url_file is not None)
        release()
        await stop.wait()


async def _cache(
    stack: AsyncExitStack, settings: EdgeSettings, runtime: RuntimeFile, upstream: Upstream, metrics: EdgeMetrics
) -> Handler:
    """Return what handles the requests that the response cache gets first. The client of Redis is loaded here: it is the largest part."""
    from slicewise_gateway.edge.address import follow_address, read_address  # noqa: PLC0415
    from slicewise_gateway.edge.cache import Bounds, Cache  # noqa: PLC0415
    from slicewise_gateway.edge.store import Store  # noqa: PLC0415

    assert settings.redis_url_file is not None  # noqa: S101 - the caller has looked
    store = Store(settings.redis_timeout_seconds, settings.max_entry_bytes, metrics)
    stack.push_async_callback(store.close)
    # Before the metrics can be read, so that they never lack an address that is there.
    address = read_address(settings.redis_url_file)
    await store.use(address)
    following = asyncio.create_task(follow_address(settings.redis_url_file, store, address))
    stack.callback(following.cancel)
    bounds = Bounds(settings.max_body_bytes, settings.max_cached_request_bytes)
    cache = Cache(f"{settings.namespace}/{settings.pool}", runtime, store, upstream, metrics, bounds)
    stack.push_async_callback(cache.close)
    return cache.handle


async def _serve(stack: AsyncExitStack, app: web.Application, host: str | None, port: int) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        # A client that is gone takes its request with it.
        handler_cancellation=True,
        auto_decompress=False,
        # Envoy has bounded the head as a whole, to half of this.
        max_line_size=_HEAD_BYTES,
        max_field_size=_HEAD_BYTES,
        shutdown_timeout=_LEAVE_SECONDS,
        keepalive_timeout=90,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port, backlog=1024).start()
