"""Reads from the API server, for what stories look at many times a second; what users do goes through kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import urllib3
from e2e.support.polling import PATIENCE
from e2e.support.programs import KUBECONFIG
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config

Object = dict[str, Any]

PREFIXES = {
    "inferencepools": "apis/slicewise.dev/v1alpha1",
    "deployments": "apis/apps/v1",
    "controllerrevisions": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
}
"""Of the kinds that are not in the core group."""


class Api:
    """The API server, as administrator."""

    def __init__(self) -> None:
        settings = kubernetes_client.Configuration()
        kubernetes_config.load_kube_config(config_file=str(KUBECONFIG), client_configuration=settings)  # type: ignore[no-untyped-call]  # untyped
        self.server = str(settings.host)
        self.tls = {"ca_file": settings.ssl_ca_cert, "cert_file": settings.cert_file, "key_file": settings.key_file}
        """Files by which the API server is known to us and we to it."""
        self._pool = urllib3.PoolManager(
            ca_certs=settings.ssl_ca_cert, cert_file=settings.cert_file, key_file=settings.key_file, maxsize=8
        )

    def request(self, method: str, path: str, body: object = None, within: float = 20) -> tuple[int, bytes]:
        """Return status and body of one request; `within`: seconds, `PATIENCE` times as many at most. Reads are tried again.

        Raises AssertionError where nothing comes back, so that whoever waits for something asks again.
        """
        try:
            answer = self._pool.request(
                method,
                f"{self.server}/{path}",
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"} if body is not None else {},
                timeout=within * PATIENCE,
                retries=urllib3.Retry(connect=5, read=2 if method == "GET" else 0, redirect=0, backoff_factor=0.2),
            )
        except urllib3.exceptions.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error!r}") from error
        return answer.status, answer.data

    def read(self, path: str) -> Object | None:
        """Return the object at `path`, or None."""
        status, data = self.request("GET", path)
        if status == 404:
            return None
        assert status == 200, f"GET {path}: {status} {data[:500]!r}"
        result: Object = json.loads(data)
        return result

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return one object, or None."""
        return self.read(f"{_path(kind, namespace)}/{name}")

    def all(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """Return the objects of a kind, of one namespace or of all."""
        found = self.read(f"{_path(kind, namespace)}?labelSelector={selector}")
        return list(found["items"]) if found else []

    def watch(self, kind: str, namespace: str) -> tuple[list[Object], urllib3.BaseHTTPResponse]:
        """Return what is there now, and an open stream of what changes from now on (`events_of` reads it)."""
        path = _path(kind, namespace)
        found = self.read(path) or {"items": [], "metadata": {"resourceVersion": "0"}}
        stream = self._pool.request(
            "GET",
            f"{self.server}/{path}?watch=true&resourceVersion={found['metadata']['resourceVersion']}",
            preload_content=False,
            timeout=urllib3.Timeout(connect=10, read=None),
        )
        return list(found["items"]), stream

    def post_through(self, kind: str, name: str, namespace: str, path: str, body: object) -> tuple[int, Any]:
        """Return status and JSON of a POST to a pod or Service ("http:chat:80") by way of the API server's proxy."""
        status, data = self.request("POST", f"{_path(kind, namespace)}/{name}/proxy/{path}", body, within=60)
        return status, _json(data)

    def get_through(self, kind: str, name: str, namespace: str, path: str) -> tuple[int, Any]:
        """Return status and JSON of a GET by way of the API server's proxy."""
        status, data = self.request("GET", f"{_path(kind, namespace)}/{name}/proxy/{path}")
        return status, _json(data)

    def log(self, namespace: str, pod: str, container: str = "", previous: bool = False) -> str:
        """Return the log of a container; what the API server says instead where there is none."""
        query = f"container={container}&previous={str(previous).lower()}"
        return self.request("GET", f"{_path('pods', namespace)}/{pod}/log?{query}")[1].decode(errors="replace")


def events_of(stream: urllib3.BaseHTTPResponse) -> Iterator[Object]:
    """Yield what a watch sends until it is closed."""
    rest = b""
    for part in stream.stream(65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _path(kind: str, namespace: str | None) -> str:
    prefix = PREFIXES.get(kind, "api/v1")
    return f"{prefix}/namespaces/{namespace}/{kind}" if namespace else f"{prefix}/{kind}"


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {"text": data.decode(errors="replace")}
