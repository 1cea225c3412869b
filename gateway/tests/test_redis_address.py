"""The address of the Redis, from a Secret that the kubelet mounts: followed while the edge runs, told to the operator. On a real Redis."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
from rig.edge import EdgeRig, becomes, edge_pod
from rig.envoy import STABLE, route
from rig.worker import StartWorkers

from slicewise.envoy import GatewayModel

ONE = GatewayModel("chat", (route(STABLE),))
KEPT = "answers are kept in Redis"


async def test_the_address_of_the_redis_may_come_change_and_go(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        await becomes(pod, "hit")
        addresses = {
            None: 0,
            "redis://127.0.0.1:1/0": 1,  # an address, whether anybody answers there or not
            "postgres://x": 0,
            "redis://127.0.0.1:1/0?colour=red": 0,
            "rediss://127.0.0.1:1/0?ssl_cert_reqs=sometimes": 0,
            "": 0,
            "\x00": 0,
        }
        for address, addressed in addresses.items():
            pod.address.unlink() if address is None else pod.address.write_text(address)
            await becomes(pod, "bypass")
            await pod.counted("redis_addressed", addressed)
            pod.address.write_text(pod.redis.url)
            await becomes(pod, "hit")
            await pod.counted("redis_addressed", 1)


async def test_an_address_that_is_there_is_never_told_as_missing(tmp_path: Path, start_workers: StartWorkers) -> None:
    """Else the pool's condition would say so after each start of an edge, and at each change of the address."""
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}) as pod:
        said = {(await pod.numbers())["redis_addressed"]}
        for _ in range(3):
            pod.kill()
            starting = asyncio.create_task(pod.start())
            while not starting.done():
                await asyncio.sleep(0.01)
                with suppress(aiohttp.ClientError):
                    said.add((await pod.numbers())["redis_addressed"])
            await starting
        before = words(pod).count(KEPT)
        pod.address.write_text(pod.redis.url + "?socket_keepalive=true")
        while words(pod).count(KEPT) == before:
            said.add((await pod.numbers())["redis_addressed"])
        said.add((await pod.numbers())["redis_addressed"])
        assert said == {1}


async def test_an_edge_without_a_cache_says_nothing_of_a_redis(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False) as pod:
        assert "redis_addressed" not in await pod.numbers()


def words(pod: EdgeRig) -> str:
    return (pod.rig.directory / "edge.log").read_text()
