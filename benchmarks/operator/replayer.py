"""The floor: sends recorded server-side applies, and nothing else. `replayer.py RECORDED AT_ONCE`.

RECORDED has one JSON list a line: the requests of one pool as [path, body text], sent one after the other; AT_ONCE pools
are sent side by side, each request on a connection that is kept. It reads, plans, watches and checks nothing.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any

import aiohttp


async def replay(pools: Iterator[list[tuple[str, bytes]]], server: str, session: aiohttp.ClientSession) -> None:
    """Send the requests of pool after pool."""
    for requests in pools:
        for path, body in requests:
            async with session.patch(server + path, data=body) as response:
                await response.read()
                if response.status >= 300:
                    raise RuntimeError(f"{path}: {response.status} {await response.text()}")


def load(recorded: Path) -> list[list[tuple[str, bytes]]]:
    """Read all requests into memory."""
    with recorded.open() as lines:
        return [[(path, body.encode()) for path, body in json.loads(line)] for line in lines]


async def main(everything: list[list[tuple[str, bytes]]], config: dict[str, Any], at_once: int) -> None:
    """Replay all."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/apply-patch+yaml"}
    tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
    pools = iter(everything)
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0, ssl=tls)) as session:
        await asyncio.gather(*(replay(pools, cluster["server"], session) for _ in range(at_once)))


if __name__ == "__main__":
    kubeconfig = json.loads(Path(environ["KUBECONFIG"]).read_text())
    asyncio.run(main(load(Path(sys.argv[1])), kubeconfig, int(sys.argv[2])))
