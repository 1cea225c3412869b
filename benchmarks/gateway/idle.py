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
    """Start the three and add up what they take: shared pages by parts, and only the pages that no other process has."""
    (directory / "idle").mkdir()
    async with aiohttp.ClientSession() as session:
        model = GatewayModel("chat", (route(STABLE),), edge=EdgeEndpoint(port=free_port()))
        rig = Rig(directory / "idle", session, model)
        settings = _settings(rig)
        named = {f"SLICEWISE_GATEWAY_{name}": value for name, value in settings.items()}
        environment = _as_in_the_image(directory) | named
        await rig.apply()
        rig.start()
        try:
            with _program("agent", environment) as agent, _program("edge", environment) as edge:
                await until(rig.admin.is_ready, 60, "Envoy is ready")
                for port in (settings["PORT"], settings["METRICS_PORT"]):
                    await until(lambda port=port: _answers(session, port), 60, "agent and edge answer")  # type: ignore[misc]
                await asyncio.sleep(_SETTLED)
                assert rig.process is not None
                pids = {"Envoy": rig.process.pid, "agent": agent.pid, "edge": edge.pid}
                shared = {name: memory(pid, "Pss") for name, pid in pids.items()}
                own = {name: memory(pid, "Private_Dirty") for name, pid in pids.items()}
        finally:
            rig.stop()
    report.add(Figure("idle_pod_memory", sum(shared.values()), "MiB", _GOAL_MIB, note=f"PSS: {_parts(shared)}"))
    report.add(Figure("idle_pod_memory_of_its_own", sum(own.values()), "MiB", note=_parts(own)))


def memory(pid: int, kind: str) -> float:
    """Return a sum over the mappings of a process in MiB: `Pss`, or `Private_Dirty`, which no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def _parts(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in values.items())


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


def _as_in_the_image(directory: Path) -> dict[str, str]:
    """Return variables as in the image, with bytecode for them: a program that compiles its modules first takes more."""
    found = {
        **os.environ,
        "PYTHONOPTIMIZE": "2",
        "PYTHONNODEBUGRANGES": "1",
        "PYTHONPYCACHEPREFIX": str(directory / "bytecode"),
    }
    code = "import slicewise_gateway.__main__, slicewise_gateway.serve, slicewise_gateway.serve_edge"
    subprocess.run([sys.executable, "-c", code], env=found, check=True)
    return found


@contextmanager
def _program(command: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    # The image has no `rich`, which structlog would load.
    code = f"import sys; sys.modules['rich'] = None; sys.argv[1:] = ['{command}']; import slicewise_gateway.__main__ as it; it.main()"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
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
