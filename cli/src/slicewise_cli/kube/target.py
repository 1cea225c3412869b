"""Which cluster and namespace a command is about, as kubectl decides it: options, then the kubeconfig's context."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from slicewise.clients.connection import Connection, open_session
from slicewise.clients.kube import KubeClient
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Target

SECONDS: Final = 30.0
"""Bound of each request."""
_LARGEST_ANSWER: Final = 256 << 20
"""Bytes of one answer: a list of all pods of a large cluster is below it."""
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server, and the namespace that names without one are in."""

    kube: KubeClient
    session: aiohttp.ClientSession
    server: str
    namespace: str


@contextlib.asynccontextmanager
async def open_cluster(target: Target, *, seconds: float = SECONDS) -> AsyncIterator[Cluster]:
    """Reach the cluster that `target` names. `seconds` bounds each request. Raises CommandError where there is none to reach."""
    connection, namespace = await _connect(target)
    async with open_session(connection, total=None) as session:
        session.headers["User-Agent"] = "kubectl-slicewise"
        yield Cluster(
            KubeClient(connection, session, seconds, largest=_LARGEST_ANSWER),
            session,
            connection.server,
            target.namespace or namespace,
        )


async def _connect(target: Target) -> tuple[Connection, str]:
    # The client logs each key that a context lacks; what matters comes as an exception.
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
        raise CommandError(f"{_source(target)}: {error}. Name another one by --kubeconfig or --context") from error


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
