"""Bodies that never end, as many and as large as a pool allows: what memory Envoy has at most."""

from __future__ import annotations

import asyncio
from pathlib import Path

from processes import upstreams
from report import Figure, Report
from rig.envoy import STABLE, route, running, until
from rig.flood import Flood, peak_bytes

from slicewise.envoy import MAX_BODY_BYTES, GatewayModel

_LIMIT = 512 << 20
"""The memory limit of Envoy's container by default; its heap may have four fifths."""
_SHED = "overload.envoy.load_shed_points.http1_server_abort_dispatch.shed_load_count"


async def flooded(report: Report, directory: Path, clients: int) -> None:
    """Send so many of the largest bodies at once, and none of their last bytes."""
    model = GatewayModel("chat", (route(STABLE),), max_body_bytes=MAX_BODY_BYTES, heap_bytes=int(_LIMIT * 0.8))
    (directory / "flooded").mkdir()
    with upstreams(directory, 1) as workers:
        async with running(directory / "flooded", model, {f"chat-{STABLE}": workers}) as rig:  # type: ignore[dict-item]
            assert rig.process is not None
            flood = Flood(rig.model.ports.http, clients, MAX_BODY_BYTES)
            flooding = asyncio.create_task(flood.run())

            async def is_sent() -> bool:
                return flood.is_sent and bool(await rig.stat(_SHED))

            await until(is_sent, 300, "all clients have sent their bodies or were refused")
            peak = peak_bytes(rig.process.pid) / 2**20
            flood.end()
            ended = await flooding
    note = f"{clients} bodies of {MAX_BODY_BYTES >> 20} MiB; the container's limit is the goal; {dict(ended)}"
    report.add(Figure("flooded_envoy_memory", peak, "MiB", _LIMIT / 2**20, note=note))
