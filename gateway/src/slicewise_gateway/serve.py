"""The composition root of both commands."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import structlog
from aiohttp import web

from slicewise_gateway.agent.discovery import canonical
from slicewise_gateway.agent.drain import Bounds, drain
from slicewise_gateway.agent.endpoints import build_eds
from slicewise_gateway.agent.envoy import EDS_PREFIX, EnvoyAdmin
from slicewise_gateway.agent.farewell import farewell
from slicewise_gateway.agent.files import PROGRAMMED_FILE, EnvoyFiles, read_mounted
from slicewise_gateway.agent.keys import KEYS_FILE, read_keys
from slicewise_gateway.agent.kube import ApiServer
from slicewise_gateway.agent.loop import Agent
from slicewise_gateway.agent.metrics import AgentMetrics
from slicewise_gateway.agent.server import build_app
from slicewise_gateway.agent.successor import successor
from slicewise_gateway.agent.writer import OPTIONAL_FILES, STATIC_FILES, UnusableError, keys_file, read_plan
from slicewise_gateway.bounded import HEADERS
from slicewise_gateway.memory import release
from slicewise_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

BOOTSTRAP_FILE = "bootstrap.json"


def seed(settings: GatewaySettings) -> None:
    """Put the mounted files where Envoy reads them, with the mounted keys and no endpoint. Raises UnusableError, OSError."""
    files = EnvoyFiles(settings.directory)
    files.remove(PROGRAMMED_FILE)
    config = {path.name: path.read_text(encoding="utf-8") for path in settings.mounted.glob("*.json")}
    plan = read_plan(config)
    if missing := [name for name in (*STATIC_FILES, BOOTSTRAP_FILE) if name not in config]:
        raise UnusableError(f"{settings.mounted} lacks {', '.join(missing)}")
    if plan.keys_secret is not None:
        config[KEYS_FILE] = canonical(keys_file(config, read_keys(read_mounted(settings.keys) or {})))
    for cluster, part in plan.clusters.items():
        files.write(f"{EDS_PREFIX}{cluster}.json", canonical(build_eds(cluster, part, (), plan.edge)))
    for name in (*STATIC_FILES, *OPTIONAL_FILES, BOOTSTRAP_FILE, KEYS_FILE):
        if name in config:
            files.write(name, config[name])


async def run_agent(settings: GatewaySettings) -> None:
    """Follow the cluster until SIGTERM or SIGINT, then drain Envoy. Raises what breaks the loops."""
    metrics, stop = AgentMetrics(), asyncio.Event()
    server = ApiServer(settings.server, settings.token_file, settings.ca_file)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Asks Envoy of this pod.
    async with aiohttp.ClientSession(
        auto_decompress=False, headers={"Accept-Encoding": "identity"}, max_headers=HEADERS
    ) as session:
        envoy = EnvoyAdmin(settings.envoy_admin, session)
        agent = Agent(settings, server, envoy, metrics)
        runner = web.AppRunner(build_app(settings.pool, agent, envoy, metrics, stop.is_set), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host or None, settings.port).start()
            loops = asyncio.create_task(agent.run())
            stopped = asyncio.create_task(stop.wait())
            release()
            await asyncio.wait({loops, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not loops.done():
                bounds = Bounds(
                    settings.successor_seconds,
                    settings.drain_delay_seconds,
                    settings.drain_late_seconds,
                    settings.drain_seconds,
                )
                other = successor(server, settings.namespace, settings.pool, settings.pod_name)
                await drain(envoy, other, bounds)
                await farewell(server, settings.namespace, settings.pod_name)
                loops.cancel()
            stopped.cancel()
            await asyncio.gather(stopped, return_exceptions=True)
            try:
                await loops
            except asyncio.CancelledError:
                log.info("agent ended")
        finally:
            await runner.cleanup()
