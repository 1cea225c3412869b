"""Real autoscalers without images, as processes on this machine against an API server of the tests: the HPA's controller,
prometheus-adapter, KEDA.

    certificates = make_certificates(directory)
    with control_plane(directory, aggregation(certificates)) as server, horizontal_autoscaler(server):
        with prometheus_adapter(server, prometheus.url, rules):
            ...                                   # external.metrics.k8s.io has what the rules say

Each acts as the ServiceAccount that it has in an installation, with the rights that its own manifests give it. `e2e/autoscalers/build.sh`
builds what is missing (minutes, once).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from servers.control_plane import REPOSITORY, ApiServer
from servers.definitions import established
from servers.kubeconfig import kubeconfig
from servers.processes import answers, end, free_port, spawn, wait_until

CACHE: Final = Path(
    os.environ.get("SLICEWISE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slicewise"
)
HOME: Final = CACHE / "autoscalers"
METRICS: Final = "v1beta1.external.metrics.k8s.io"
HASTE: Final = ("--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=5s")
"""15 seconds and 5 minutes in an installation."""


def make_certificates(directory: Path) -> Path:
    """Return a folder with an authority and a certificate of it for servers and clients on the loopback address."""
    folder = directory / "authority"
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests", "-days", "2")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    uses = "extendedKeyUsage=serverAuth,clientAuth"
    asked = ["-subj", "/CN=front-proxy-client", "-addext", names, "-addext", uses, "-out", "tls.csr"]
    _openssl(folder, "req", *key, "-keyout", "tls.key", *asked)
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-copy_extensions", "copy", "-days", "2", "-out", "tls.crt"]
    _openssl(folder, "x509", "-req", "-in", "tls.csr", *signed)
    return folder


def aggregation(certificates: Path) -> tuple[str, ...]:
    """Return the flags with which kube-apiserver passes requests on to API servers of others."""
    return (
        f"--requestheader-client-ca-file={certificates / 'ca.crt'}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates / 'tls.crt'}",
        f"--proxy-client-key-file={certificates / 'tls.key'}",
    )


@contextlib.contextmanager
def horizontal_autoscaler(server: ApiServer) -> Iterator[None]:
    """Run the controller of HorizontalPodAutoscalers, in haste, until the block is left."""
    argv = [
        str(server.bin / "kube-controller-manager"),
        f"--kubeconfig={_kubeconfig(server, 'kube-system', 'horizontal-pod-autoscaler')}",
        "--controllers=horizontal-pod-autoscaler-controller",
        "--leader-elect=false",
        "--secure-port=0",
        *HASTE,
    ]
    with _running(server, "horizontal-autoscaler", argv):
        yield


@contextlib.contextmanager
def prometheus_adapter(server: ApiServer, prometheus: str, external: list[Mapping[str, Any]]) -> Iterator[None]:
    """Run prometheus-adapter until the block is left. `external`: rules, as in its chart's values under `rules.external`."""
    rules = server.directory / "prometheus-adapter.yaml"
    rules.write_text(yaml.safe_dump({"externalRules": external}))
    port, account = free_port(), _kubeconfig(server, "monitoring", "prometheus-adapter")
    _bind(server, "monitoring", "prometheus-adapter", "system:auth-delegator")
    argv = [
        str(HOME / "prometheus-adapter"),
        f"--prometheus-url={prometheus}",
        f"--config={rules}",
        "--metrics-relist-interval=1s",
        # One relist may come late on a busy machine.
        "--metrics-max-age=1m",
        *_serving(server, port, account),
        f"--cert-dir={server.directory / 'adapter-certificates'}",
    ]
    with _running(server, "prometheus-adapter", argv), _external_metrics(server, "monitoring", port):
        yield


@contextlib.contextmanager
def keda(server: ApiServer, certificates: Path, prometheus: str) -> Iterator[None]:
    """Run KEDA's operator and metrics server until the block is left. Whatever Prometheus a ScaledObject names, `prometheus` answers."""
    for file in sorted((HOME / "keda-crds").glob("*.yaml")):
        server.kubectl("apply", "--server-side", "-f", str(file))
    established(server, "scaledobjects.keda.sh")
    _namespace(server, "keda")
    for name in ("role.yaml", "role_binding.yaml"):
        server.kubectl("apply", "--server-side", "-f", str(HOME / "keda-rbac" / name))
    _bind(server, "keda", "keda-operator", "system:auth-delegator")
    account = _kubeconfig(server, "keda", "keda-operator")
    service, health, port = free_port(), free_port(), free_port()
    # Prometheus takes the requests that come to it as to a proxy for its own, so that its address stays what is documented.
    environment = {
        "KUBECONFIG": str(account),
        "POD_NAMESPACE": "keda",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
        "WATCH_NAMESPACE": "",
        "HTTP_PROXY": prometheus,
    }
    operator = [
        str(HOME / "keda"),
        f"--metrics-bind-address=127.0.0.1:{free_port()}",
        f"--health-probe-bind-address=127.0.0.1:{health}",
        f"--metrics-service-bind-address=127.0.0.1:{service}",
        f"--cert-dir={certificates}",
    ]
    metrics = [
        str(HOME / "keda-adapter"),
        f"--metrics-service-address=127.0.0.1:{service}",
        f"--port={free_port()}",
        f"--tls-cert-file={certificates / 'tls.crt'}",
        f"--tls-private-key-file={certificates / 'tls.key'}",
        f"--cert-dir={certificates}",
        *_serving(server, port, account),
    ]
    with _running(server, "keda", operator, environment) as (process, log):

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"keda ended: {_end_of(log)}")
            return answers(f"http://127.0.0.1:{health}/readyz")

        wait_until(ready, 120, lambda: _end_of(log))
        with _running(server, "keda-adapter", metrics, environment), _external_metrics(server, "keda", port):
            yield


def build() -> None:
    """Build the programs where they are missing."""
    subprocess.run([REPOSITORY / "e2e/autoscalers/build.sh"], check=True)


@contextlib.contextmanager
def _running(
    server: ApiServer, name: str, argv: list[str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = server.directory / f"{name}.log"
    words = [f"{key}={value}" for key, value in (environment or {}).items()]
    process = spawn(["env", *words, *argv], log)
    try:
        yield process, log
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended: {_end_of(log)}")
    finally:
        end(process)


@contextlib.contextmanager
def _external_metrics(server: ApiServer, namespace: str, port: int) -> Iterator[None]:
    """Let the server on `port` answer for external.metrics.k8s.io; a cluster has one at a time."""
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    metadata = {"name": "external-metrics", "namespace": namespace}
    _apply(server, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    group, version = METRICS.split(".", 1)[1], METRICS.split(".", 1)[0]
    spec = {
        "service": {"name": "external-metrics", "namespace": namespace, "port": port},
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
    }
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    _apply(server, {**kind, "metadata": {"name": METRICS}, "spec": spec})
    path = f"/apis/apiregistration.k8s.io/v1/apiservices/{METRICS}"

    def conditions() -> list[dict[str, str]]:
        return (server.request("GET", path)[1].get("status") or {}).get("conditions") or []

    def available() -> bool:
        return any((each["type"], each["status"]) == ("Available", "True") for each in conditions())

    wait_until(available, 120, lambda: f"{METRICS}: {conditions()}\n{_logs(server)}")
    try:
        yield
    finally:
        server.request("DELETE", path)


def _serving(server: ApiServer, port: int, account: Path) -> list[str]:
    """Flags of an API server beside ours."""
    kinds = ("lister", "authentication", "authorization")
    return ["--bind-address=127.0.0.1", f"--secure-port={port}", *(f"--{kind}-kubeconfig={account}" for kind in kinds)]


def _kubeconfig(server: ApiServer, namespace: str, account: str) -> Path:
    """Return a kubeconfig with which a program acts as a ServiceAccount."""
    config = kubeconfig(server.url, server.ca_file, server.token)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    config["users"][0]["user"] |= {"as": f"system:serviceaccount:{namespace}:{account}", "as-groups": groups}
    path = server.directory / f"kubeconfig-{account}"
    path.write_text(json.dumps(config))
    return path


def _bind(server: ApiServer, namespace: str, account: str, role: str) -> None:
    """Give a ServiceAccount a role, and what each API server beside ours reads."""
    _namespace(server, namespace)
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    named = {"metadata": {"name": f"{account}-{role.replace(':', '-')}"}, "subjects": [subject]}
    _apply(server, {**api, "kind": "ClusterRoleBinding", **named, "roleRef": reference})
    reader = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "extension-apiserver-authentication-reader",
    }
    metadata = {"name": f"{account}-reader", "namespace": "kube-system"}
    _apply(server, {**api, "kind": "RoleBinding", "metadata": metadata, "subjects": [subject], "roleRef": reader})


def _namespace(server: ApiServer, name: str) -> None:
    _apply(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _apply(server: ApiServer, item: Mapping[str, Any]) -> None:
    server.kubectl("apply", "--server-side", "-f", "-", stdin=item)


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _logs(server: ApiServer) -> str:
    names = ("horizontal-autoscaler", "prometheus-adapter", "keda", "keda-adapter")
    return "\n".join(f"{name}: {_end_of(log)}" for name in names if (log := server.directory / f"{name}.log").exists())
