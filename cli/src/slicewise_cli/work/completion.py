"""Names of pools for the shell, within a second or none."""

from __future__ import annotations

import asyncio
from typing import Final

from slicewise.clients.kube import ApiError
from slicewise_cli.errors import CommandError
from slicewise_cli.kube.read import read_many
from slicewise_cli.kube.target import open_cluster
from slicewise_cli.options import Target

_SECONDS: Final = 2.0


def pool_names(context: str | None, namespace: str | None, kubeconfig: str | None) -> list[str]:
    """Return the names of the pools in the namespace; none where the cluster cannot be asked."""
    try:
        return asyncio.run(_names(Target(context, namespace, kubeconfig)))
    except (CommandError, ApiError, OSError, TimeoutError):
        return []


async def _names(target: Target) -> list[str]:
    async with asyncio.timeout(_SECONDS), open_cluster(target, seconds=_SECONDS) as cluster:
        return sorted(pool["metadata"]["name"] for pool in await read_many(cluster))
