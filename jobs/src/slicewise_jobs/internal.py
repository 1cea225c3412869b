"""The port for the cluster: health, metrics, and the connections of dispatchers."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from slicewise_jobs.store.watch import Watch


def build_internal(registry: CollectorRegistry, watch: Watch, *middlewares: Middleware) -> web.Application:
    """Return the application with `/healthz`, `/readyz`, `/metrics` and `/v1/standing`."""

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        """Once the database was good: while it is away, clients get words from here rather than none from elsewhere."""
        if watch.was_ready:
            return web.Response(text="ok\n")
        assert watch.finding is not None  # noqa: S101 - or it would have been good
        return web.Response(status=503, text=f"{watch.finding.trouble}: {watch.finding.message}\n")

    async def standing(_request: web.Request) -> web.Response:
        finding = watch.finding
        reason, message = (finding.trouble.value, finding.message) if finding else ("Available", "")
        return web.json_response({"available": finding is None, "reason": reason, "message": message})

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=middlewares)
    for path, handler in (("/healthz", alive), ("/readyz", ready), ("/v1/standing", standing), ("/metrics", metrics)):
        app.router.add_get(path, handler)
    return app
