"""The agent over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from slicewise_gateway.agent.envoy import EnvoyAdmin
from slicewise_gateway.agent.loop import Agent
from slicewise_gateway.agent.metrics import AgentMetrics


def build_app(
    pool: str, agent: Agent, envoy: EnvoyAdmin, metrics: AgentMetrics, is_draining: Callable[[], bool]
) -> web.Application:
    """Return the application; it only tells what others know."""

    async def healthz(_request: web.Request) -> web.Response:
        # The loops end the process when they break, so an answer is the proof.
        return web.Response(text="ok")

    async def readyz(_request: web.Request) -> web.Response:
        if not (agent.has_programmed and await envoy.is_ready()):
            return web.Response(text="Envoy takes no requests", status=503)
        if not await envoy.takes_connections():
            return web.Response(text="Envoy takes no more connections: as many are open as it may have", status=503)
        return web.Response(text="ok")

    async def gateway(_request: web.Request) -> web.Response:
        body = agent.report.as_json(pool, agent.wanted, in_touch=agent.in_touch, draining=is_draining())
        return web.json_response(body)

    async def numbers(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/v1/gateway", gateway),
            web.get("/metrics", numbers),
        ]
    )
    return app
