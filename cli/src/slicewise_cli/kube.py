"""The cluster: how a command connects, what it reads, its one kind of write, and the API server's errors as sentences.

As with kubectl, options decide first, then the kubeconfig's context, then the service account of the pod.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from slicewise.api.labels import KIND, LABEL_POOL, MANAGED_SELECTOR
from slicewise.clients.connection import Connection, open_session
from slicewise.clients.kube import ApiError, KubeClient, UnreachableError
from slicewise.clients.resources import NODES, PODS, POOLS, REVISIONS, Resource
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Target

Object = dict[str, Any]
QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
KIND_NAME: Final = "inferencepools.slicewise.dev"
SECONDS: Final = 30.0
"""Timeout of each request."""
_LARGEST_ANSWER: Final = 256 << 20
"""Maximum size of one response in bytes: larger than a list of all pods of a large cluster."""
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TRIES: Final = 8
"""The operator writes the status of a busy pool about once a second, so a few conflicts are normal."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server and the namespace of the command."""

    kube: KubeClient
    session: aiohttp.ClientSession
    server: str
    namespace: str


@contextlib.asynccontextmanager
async def open_cluster(target: Target, *, seconds: float = SECONDS) -> AsyncIterator[Cluster]:
    """Connect to the cluster of `target`; `seconds` is the timeout of each request. Raises CommandError without a usable kubeconfig."""
    connection, namespace = await _connect(target)
    async with open_session(connection, total=None) as session:
        session.headers["User-Agent"] = "kubectl-slicewise"
        yield Cluster(
            KubeClient(connection, session, seconds, largest=_LARGEST_ANSWER),
            session,
            connection.server,
            target.namespace or namespace,
        )


async def read_one(cluster: Cluster, name: str) -> Object:
    """Return the pool of that name. Raises CommandError, with the names of all pools, if it does not exist."""
    what = f"pool {name} in namespace {cluster.namespace}"
    try:
        pool = await cluster.kube.get(POOLS, cluster.namespace, name)
    except ApiError as error:
        raise told(error, cluster, what) from error
    if pool is not None:
        return pool
    names = ", ".join(item["metadata"]["name"] for item in await read_many(cluster)) or "none"
    raise CommandError(f"{what} does not exist; there are: {names}. Use -n for another namespace")


async def read_many(cluster: Cluster, *, everywhere: bool = False) -> list[Object]:
    """Return the pools of the namespace, or of all."""
    where = "all namespaces" if everywhere else f"namespace {cluster.namespace}"
    try:
        return await cluster.kube.list_items(POOLS, None if everywhere else cluster.namespace)
    except ApiError as error:
        if error.code == 404:
            message = (
                f"{cluster.server} has no kind {KIND} ({KIND_NAME}): install Slicewise there, or use another --context"
            )
            raise CommandError(message) from error
        raise told(error, cluster, f"pools in {where}") from error


def worker_query(name: str | None) -> dict[str, str]:
    """Return the query that selects the workers of a pool, or of all."""
    return {"labelSelector": f"{LABEL_POOL}={name}" if name else f"{MANAGED_SELECTOR},{LABEL_POOL}"}


async def read_workers(cluster: Cluster, name: str | None, *, everywhere: bool = False) -> list[Object] | None:
    """Return the pods of workers; None if the user may not list them."""
    return await _allowed(cluster, PODS, None if everywhere else cluster.namespace, worker_query(name))


async def read_around(cluster: Cluster) -> tuple[list[Object] | None, list[Object] | None, list[Object] | None]:
    """Return nodes, pods of all namespaces and the namespace's quotas; None for what the user may not list."""
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


async def write(cluster: Cluster, name: str, decide: Callable[[Object], Mapping[str, Any] | None]) -> Object:
    """Apply the merge patch that `decide` returns for the current pool; None: no write. Returns the pool after it.

    The patch carries the resourceVersion that was read. On a conflict the pool is read again and `decide` decides again. `decide` raises
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


def told(error: ApiError, cluster: Cluster, what: str) -> CommandError:
    """Return an error of the API server as a sentence for the user. `what`: the subject of the request."""
    if isinstance(error, UnreachableError):
        return CommandError(
            f"{what}: {cluster.server} does not answer ({error.message}). Check that the cluster runs and the context is right"
        )
    if error.code == 401:
        return CommandError(f"{what}: {cluster.server} rejects the credentials ({error.message}). Log in again")
    if error.code == 403:
        return CommandError(f"{what}: not allowed: {error.message}")
    return CommandError(f"{what}: {error.message}")


async def _connect(target: Target) -> tuple[Connection, str]:
    # The client logs each key that a context lacks; errors that matter are exceptions.
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
    configuration = Configuration()
    try:
        if target.kubeconfig is None and target.context is None and _in_a_pod():
            kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # untyped
            namespace = (_ACCOUNT / "namespace").read_text().strip()
        else:
            namespace = _namespace(target)
            await kube_config.load_kube_config(  # type: ignore[no-untyped-call]  # untyped
                config_file=target.kubeconfig,
                context=target.context,
                client_configuration=configuration,
                persist_config=False,
            )
        return Connection(
            configuration.host.rstrip("/"), RESTClientObject(configuration).ssl_context, configuration
        ), namespace
    except (kube_config.ConfigException, OSError, ValueError) as error:
        raise CommandError(f"{_source(target)}: {error}. Use another --kubeconfig or --context") from error


def _namespace(target: Target) -> str:
    if target.kubeconfig is not None and not Path(target.kubeconfig).expanduser().is_file():
        raise CommandError(f"--kubeconfig {target.kubeconfig}: there is no such file")
    contexts, current = kube_config.list_kube_config_contexts(config_file=target.kubeconfig)  # type: ignore[no-untyped-call]
    wanted = target.context
    chosen: dict[str, Any] | None = current if wanted is None else None
    if wanted is not None:
        chosen = next((context for context in contexts if context["name"] == wanted), None)
        if chosen is None:
            names = ", ".join(context["name"] for context in contexts) or "none"
            raise CommandError(f"--context {wanted}: the kubeconfig has no such context; it has: {names}")
    return str(((chosen or {}).get("context") or {}).get("namespace") or "default")


def _source(target: Target) -> str:
    if target.kubeconfig:
        return f"--kubeconfig {target.kubeconfig}"
    named = os.environ.get("KUBECONFIG")
    return f"KUBECONFIG={named}" if named else "~/.kube/config"


def _in_a_pod() -> bool:
    inside = "KUBERNETES_SERVICE_HOST" in os.environ and (_ACCOUNT / "token").exists()
    return inside and "KUBECONFIG" not in os.environ and not Path("~/.kube/config").expanduser().exists()
