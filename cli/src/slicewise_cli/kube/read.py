"""What commands read, and how the API server's refusals are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slicewise.api.labels import KIND, LABEL_POOL, MANAGED_SELECTOR
from slicewise.clients.kube import ApiError, UnreachableError
from slicewise.clients.resources import NODES, PODS, POOLS, REVISIONS, Resource
from slicewise_cli.errors import CommandError
from slicewise_cli.kube.target import Cluster

Object = dict[str, Any]
QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
KIND_NAME: Final = "inferencepools.slicewise.dev"


def told(error: ApiError, cluster: Cluster, what: str) -> CommandError:
    """Return what the API server said as a sentence for the user. `what`: what was asked for."""
    if isinstance(error, UnreachableError):
        return CommandError(
            f"{what}: {cluster.server} does not answer ({error.message}). Is the cluster up, and the context right?"
        )
    if error.code == 401:
        return CommandError(f"{what}: {cluster.server} does not take these credentials ({error.message}). Log in again")
    if error.code == 403:
        return CommandError(f"{what}: not allowed: {error.message}")
    return CommandError(f"{what}: {error.message}")


async def read_one(cluster: Cluster, name: str) -> Object:
    """Return the pool of that name. Raises CommandError with the names that there are."""
    what = f"pool {name} in namespace {cluster.namespace}"
    try:
        pool = await cluster.kube.get(POOLS, cluster.namespace, name)
    except ApiError as error:
        raise told(error, cluster, what) from error
    if pool is not None:
        return pool
    names = ", ".join(item["metadata"]["name"] for item in await read_many(cluster)) or "none"
    raise CommandError(f"{what} does not exist; there are: {names}. Name another namespace by -n")


async def read_many(cluster: Cluster, *, everywhere: bool = False) -> list[Object]:
    """Return the pools of the namespace, or of all."""
    where = "all namespaces" if everywhere else f"namespace {cluster.namespace}"
    try:
        return await cluster.kube.list_items(POOLS, None if everywhere else cluster.namespace)
    except ApiError as error:
        if error.code == 404:
            message = (
                f"{cluster.server} has no kind {KIND} ({KIND_NAME}): install Slicewise there, or name another --context"
            )
            raise CommandError(message) from error
        raise told(error, cluster, f"pools in {where}") from error


def worker_query(name: str | None) -> dict[str, str]:
    """Return the query that selects the workers of a pool, or of all."""
    return {"labelSelector": f"{LABEL_POOL}={name}" if name else f"{MANAGED_SELECTOR},{LABEL_POOL}"}


async def read_workers(cluster: Cluster, name: str | None, *, everywhere: bool = False) -> list[Object] | None:
    """Return the workers' pods; None where they may not be listed."""
    return await _allowed(cluster, PODS, None if everywhere else cluster.namespace, worker_query(name))


async def read_around(cluster: Cluster) -> tuple[list[Object] | None, list[Object] | None, list[Object] | None]:
    """Return nodes, pods of all namespaces and the namespace's quotas; None for what may not be listed."""
    return (
        await _allowed(cluster, NODES, None, {}),
        await _allowed(cluster, PODS, None, {"fieldSelector": "spec.nodeName!="}),
        await _allowed(cluster, QUOTAS, cluster.namespace, {}),
    )


async def read_revisions(cluster: Cluster, name: str) -> list[Object]:
    """Return the ControllerRevisions of a pool."""
    try:
        return await cluster.kube.list_items(REVISIONS, cluster.namespace, labelSelector=f"{LABEL_POOL}={name}")
    except ApiError as error:
        raise told(error, cluster, f"revisions of pool {name}") from error


async def _allowed(
    cluster: Cluster, kind: Resource, namespace: str | None, query: Mapping[str, str]
) -> list[Object] | None:
    try:
        return await cluster.kube.list_items(kind, namespace, **query)
    except ApiError as error:
        if error.code == 403:
            return None
        raise told(error, cluster, kind.plural) from error
