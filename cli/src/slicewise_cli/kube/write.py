"""The writes: a merge patch onto the version that was read, decided anew when somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from slicewise.clients.kube import ApiError
from slicewise.clients.resources import POOLS
from slicewise_cli.kube.read import Object, read_one, told
from slicewise_cli.kube.target import Cluster

_TRIES: Final = 8
"""The operator writes the status of a busy pool about once a second, so a few conflicts are nothing unusual."""


async def write(cluster: Cluster, name: str, decide: Callable[[Object], Mapping[str, Any] | None]) -> Object:
    """Patch a pool with what `decide` says of it as it is; None: nothing to write. Returns the pool as it was or became.

    The patch carries the resourceVersion that was read, so it meets no other state than the one that was decided on. `decide` raises
    to refuse.
    """
    for attempt in range(_TRIES):
        pool = await read_one(cluster, name)
        patch = decide(pool)
        if patch is None:
            return pool
        try:
            return await cluster.kube.merge(POOLS, cluster.namespace, name, patch)
        except ApiError as error:
            if error.code != 409 or attempt == _TRIES - 1:
                raise told(error, cluster, f"pool {name}") from error
    raise AssertionError("unreachable")
