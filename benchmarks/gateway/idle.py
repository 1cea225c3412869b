"""What an idle gateway pod takes of memory: Envoy, the agent and an edge without a response cache, side by side."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from report import Figure, Report
from rig.envoy import STABLE, Rig, route, until
from servers.processes import free_port

from slicewise.envoy import EdgeEndpoint, GatewayModel

_SETTLED = 10.0
"""Seconds after which nothing is allocated any more."""
_GOAL_MIB = 95


async def idle(report: Report, directory: Path) -> None:
    """Start the three and add up their proportional set sizes."""
    (directory / "idle").mkdir()
    async with aiohttp.ClientSession() as session:
        model = GatewayModel("chat", (route(STABLE),), edge=EdgeEndpoint(port=free_port()))
        rig = Rig(directory / "idle", session, model)
        await rig.apply()
        rig.start()
        try:
            settings = _settings(rig)
            with _program("agent", settings) as agent, _program("edge", settings) as edge:
                await until(rig.admin.is_ready, 60, "Envoy is ready")
                for port in (settings["PORT"], settings["METRICS_PORT"]):
                    await until(lambda port=port: _answers(session, port), 60, "agent and edge answer")  # type: ignore[misc]
                await asyncio.sleep(_SETTLED)
                assert rig.process is not None
                parts = {"Envoy": pss(rig.process.pid), "agent": pss(agent.pid), "edge": pss(edge.pid)}
        finally:
            rig.stop()
    note = ", ".join(f"{name} {value:.0f}" for name, value in parts.items())
    report.add(Figure("idle_pod_memory", sum(parts.values()), "MiB", _GOAL_MIB, note=f"PSS: {note}"))


def pss(pid: int) -> float:
    """Return the proportional set size of a process in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _settings(rig: Rig) -> dict[str, str]:
    """Return the settings of both programs. There is no API server: the agent waits for one."""
    token = rig.directory / "token"
    token.write_text("none")
    assert rig.model.edge is not None
    return {
        "POOL": "chat",
        "NAMESPACE": "demo",
        "CONFIG_MAP": "chat-gateway",
        "ENDPOINTS_SELECTOR": "slicewise.dev/pool=chat",
        "DIRECTORY": rig.model.directory,
        "ENVOY_ADMIN": f"http://127.0.0.1:{rig.model.ports.admin}",
        "INTERNAL_URL": f"http://127.0.0.1:{rig.model.ports.internal}",
        "API_SERVER": f"http://127.0.0.1:{free_port()}",
        "TOKEN_FILE": str(token),
        "PORT": str(free_port()),
        "HOLD_PORT": str(rig.model.edge.port),
        "METRICS_PORT": str(free_port()),
    }


@contextmanager
def _program(command: str, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program as in its image, which has no `rich`: structlog would load it."""
    code = f"import sys; sys.modules['rich'] = None; sys.argv = ['', '{command}']; import slicewise_gateway.__main__ as it; it.main()"
    named = {f"SLICEWISE_GATEWAY_{name}": value for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **named}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _answers(session: aiohttp.ClientSession, port: str) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
