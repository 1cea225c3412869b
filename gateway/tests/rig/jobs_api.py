"""A gateway whose pool takes jobs."""

from __future__ import annotations

from dataclasses import replace

from rig.envoy import STABLE, Rig, route, until
from rig.worker import Worker
from slicewise.envoy import GatewayModel, Jobs

ONE = GatewayModel("chat", (route(STABLE),), max_body_bytes=1000)


def with_jobs(api: Worker, model: GatewayModel = ONE) -> GatewayModel:
    return replace(model, jobs=Jobs.of("localhost", 900, api.port))


async def found(rig: Rig) -> None:
    """Wait until Envoy has looked up the name of the API."""

    async def is_found() -> bool:
        # `localhost` is an address of each family, of which the API has one: so Envoy has to go on from one that refuses.
        return (await rig.stat("cluster.jobs.membership_total") or 0) >= 1

    await until(is_found, what="Envoy knows the address of the API")
