"""Health of the operator, and the one port that shows it: `/healthz`, `/readyz`, `/metrics`.

Unhealthy means: a restart is the remedy. That is so when the event loop lags, when a watch has shown no life for longer than
its own time-outs allow (kopf's known way to become a zombie), or when a reconcile hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

LAG_LIMIT: Final = 10.0
SILENCE_LIMIT: Final = 150.0
PASS_LIMIT: Final = 300.0
_TICK: Final = 1.0


class WatchLife:
    """When each watched collection last showed life: an event, a bookmark, a list, a new connection."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}

    def expect(self, paths: Iterable[str]) -> None:
        """Begin to count for these collections."""
        now = self._monotonic()
        self._seen = dict.fromkeys(paths, now)

    def mark(self, path: str) -> None:
        """Note a sign of life."""
        if path in self._seen:
            self._seen[path] = self._monotonic()

    def silence(self) -> dict[str, float]:
        """Return collection → seconds without a sign of life."""
        now = self._monotonic()
        return {path: now - seen for path, seen in self._seen.items()}


class Health:
    """Judges whether this process should be restarted."""

    def __init__(
        self, monotonic: Callable[[], float], watches: WatchLife, longest_reconcile: Callable[[], float]
    ) -> None:
        self._monotonic = monotonic
        self._watches = watches
        self._longest_reconcile = longest_reconcile
        self._ticked = monotonic()
        self._worst_lag = 0.0

    async def tick(self) -> None:
        """Measure the lag of the event loop, for ever."""
        while True:
            before = self._monotonic()
            await asyncio.sleep(_TICK)
            self._ticked = self._monotonic()
            self._worst_lag = self._ticked - before - _TICK

    def complaints(self) -> list[str]:
        """Return what is wrong, one sentence each; empty when healthy."""
        found = []
        lag = max(self._worst_lag, self._monotonic() - self._ticked - _TICK)
        if lag > LAG_LIMIT:
            found.append(f"the event loop lags {lag:.0f} s")
        for path, seconds in self._watches.silence().items():
            if seconds > SILENCE_LIMIT:
                found.append(f"the watch of {path} has been silent for {seconds:.0f} s")
        if self._longest_reconcile() > PASS_LIMIT:
            found.append(f"a reconcile has been running for {self._longest_reconcile():.0f} s")
        return found


async def serve(
    port: int, health: Health, ready: Callable[[], str | None], metrics: Callable[[], bytes]
) -> tuple[web.AppRunner, int]:
    """Serve on `port` (0: any free one). `ready` returns what is still waited for, or None. The caller cleans up the runner."""

    async def healthz(_: web.Request) -> web.Response:
        complaints = health.complaints()
        return web.Response(text="\n".join(complaints) or "ok", status=503 if complaints else 200)

    async def readyz(_: web.Request) -> web.Response:
        waiting = ready()
        return web.Response(text=waiting or "ok", status=503 if waiting else 200)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host=None, port=port).start()
    return runner, int(runner.addresses[0][1])
