"""How to reach the API server: address, TLS, credentials; and the HTTP sessions made from them.

The official client reads service accounts and kubeconfigs (exec plugins and token renewal included); requests then go
through plain aiohttp sessions, because Slicewise moves plain dicts and the generated models would only cost time.
"""

from __future__ import annotations

import os
import ssl
import urllib.request
from asyncio import sslproto
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from slicewise.clients.stream import Middleware

USER_AGENT: Final = "slicewise-operator"
sslproto.SSLProtocol.max_size = 64 * 1024
"""Read buffer of each TLS connection in bytes. asyncio's own is four times that, and up to 30 connections are kept."""
_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class Connection:
    """An API server and what it takes to talk to it."""

    server: str
    """Base URL without a slash at the end."""
    tls: ssl.SSLContext
    configuration: Configuration

    async def authorization(self) -> str | None:
        """Return the value of the Authorization header, read again once a minute; None with client certificates."""
        header = await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if header is None and self.configuration.username:
            return str(self.configuration.get_basic_auth_token())
        return header


async def connect(kubeconfig: str | None = None, server: str | None = None) -> Connection:
    """Return the connection that the surroundings ask for.

    `kubeconfig`: path; without it a pod's service account, else `KUBECONFIG`, else `~/.kube/config`. `server` replaces
    the address. Raises `kubernetes.aio.config.ConfigException` when there is nothing to connect with.
    """
    configuration = Configuration()
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_ACCOUNT_TOKEN.exists():
        kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # untyped
    else:
        await kube_config.load_kube_config(  # type: ignore[no-untyped-call]  # untyped
            config_file=kubeconfig, client_configuration=configuration, persist_config=False
        )
    rest = RESTClientObject(configuration)
    return Connection((server or configuration.host).rstrip("/"), rest.ssl_context, configuration)


def open_session(
    connection: Connection,
    middlewares: Sequence[Middleware] = (),
    *,
    total: float | None = 30,
    auto_decompress: bool = False,
) -> aiohttp.ClientSession:
    """Return a session that authorizes each request to the server; `total` seconds bound one. The caller closes it.

    `auto_decompress`: for kopf, which reads answers by itself; without a bound, so only for the API server.
    """
    home = URL(connection.server).origin()

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        # A middleware also sees the requests that follow a redirect: elsewhere the token has no business.
        header = await connection.authorization() if request.url.origin() == home else None
        if header:
            request.headers["Authorization"] = header
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.tls, keepalive_timeout=30),
        headers={"User-Agent": USER_AGENT},
        auto_decompress=auto_decompress,
        middlewares=(*middlewares, authorize),
        proxy=_proxy(connection.server),
        timeout=aiohttp.ClientTimeout(total=total),
    )


def _proxy(server: str) -> str | None:
    """Return the proxy that the environment names for a server. Once: aiohttp's `trust_env` asks in a thread, each request."""
    url = URL(server)
    if urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return urllib.request.getproxies().get(url.scheme)
