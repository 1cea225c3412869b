"""A real control plane for tests: etcd and kube-apiserver on free loopback ports, kube-controller-manager on demand.

    with control_plane(directory) as server:
        server.kubectl("get", "namespaces")
        mark = server.audit_mark()
        ...                                       # what is measured
        writes = [e for e in server.audit_events(mark) if e["verb"] in WRITES]

`server.url`, `server.token` (of system:masters), `server.ca_file`, `server.kubeconfig` and `server.audit_log` are what a
client needs. `server.stop_api()` takes the API away, `server.start_api()` gives it back on the same port with the same data.
No scheduler and no kubelet runs: a test binds pods and writes their status itself. The programs come from
`$SLICEWISE_CACHE/bin`; `e2e/cluster/build.sh` builds what is missing (minutes, once). All end with us.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.audit import AuditMark, events_since, mark_of
from servers.kubeconfig import kubeconfig
from servers.processes import answers, end, free_port, spawn, wait_until

__all__ = [
    "CONTROLLERS",
    "REPOSITORY",
    "WRITES",
    "ApiServer",
    "control_plane",
    "controller_manager",
    "free_port",
    "programs",
    "wait_until",
]

REPOSITORY = Path(__file__).resolve().parents[3]
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
READY_WITHIN = 120.0
"""Seconds; about five on a free core, and tests share theirs."""

CONTROLLERS = (
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "disruption-controller",
    "persistentvolumeclaim-protection-controller",
)

_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass
class ApiServer:
    """A running API server and how to talk to it."""

    url: str
    token: str
    """Bearer token of `test-admin`, which may do everything."""
    guest_token: str
    """Bearer token of the user `guest`, which may do nothing until a test binds a role to it."""
    ca_file: Path
    kubeconfig: Path
    audit_log: Path
    """One JSON line for each finished request."""
    directory: Path
    bin: Path
    _argv: list[str] = field(default_factory=list, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def kubectl(
        self, *args: str, stdin: object = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl. `stdin`: text, or an object that is handed over as JSON (with `-f -`).

        With `check`, an exit status other than 0 raises AssertionError with kubectl's words.
        """
        text = stdin if isinstance(stdin, str) or stdin is None else json.dumps(stdin)
        done = subprocess.run(
            [self.bin / "kubectl", f"--kubeconfig={self.kubeconfig}", *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "HOME": str(self.directory)},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr or done.stdout}")
        return done

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> tuple[int, Any]:
        """Send one request, return (status code, parsed JSON). 4xx and 5xx are returned, not raised."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(request, context=self._tls(), timeout=30) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read())

    def create_namespace(self) -> str:
        """Create a namespace and return its name. It is not deleted: the server goes with the session."""
        name = f"t-{secrets.token_hex(5)}"
        code, said = self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert code == 201, said
        return name

    def audit_mark(self) -> AuditMark:
        """Return a place in the audit log, for `audit_events`."""
        return mark_of(self.audit_log)

    def audit_events(self, since: AuditMark | None = None) -> list[dict[str, Any]]:
        """Return the requests made since a mark: audit.k8s.io/v1 Events with verb, user, objectRef, responseStatus."""
        return events_since(self.audit_log, since, lambda path: self.request("GET", path))

    def start_api(self) -> None:
        """Start kube-apiserver (again) on its port and wait until it is ready."""
        self.launch_api()
        self.wait_for_api()

    def launch_api(self) -> None:
        """Start kube-apiserver, from a thread that outlives it, and do not wait."""
        self._process = spawn(self._argv, self.directory / "kube-apiserver.log")

    def wait_for_api(self) -> None:
        """Wait until kube-apiserver is ready, in any thread."""
        wait_until(self._ready, READY_WITHIN, lambda: f"kube-apiserver: {self._last_words()}")

    def stop_api(self) -> None:
        """End kube-apiserver at once; clients see connections reset, then refused. The data stays."""
        if self._process is not None:
            end(self._process, kill=True)
            self._process = None

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended: {self._last_words()}")
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _last_words(self) -> str:
        return (self.directory / "kube-apiserver.log").read_text(errors="replace")[-2000:]

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


@contextlib.contextmanager
def control_plane(directory: Path, flags: Sequence[str] = ()) -> Iterator[ApiServer]:
    """Run etcd and kube-apiserver, with more `flags`, with their files under `directory` until the block is left."""
    binaries = programs()
    etcd_url = f"http://127.0.0.1:{free_port()}"
    etcd = spawn(
        [
            str(binaries / "etcd"),
            f"--data-dir={directory / 'etcd'}",
            f"--listen-client-urls={etcd_url}",
            f"--advertise-client-urls={etcd_url}",
            f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
            # A test's data need not outlive a power cut, and shared disks make fsync the slowest part.
            "--unsafe-no-fsync",
            "--log-level=error",
        ],
        directory / "etcd.log",
    )
    try:
        # kube-apiserver gives up where etcd is not there within twenty seconds, which a busy machine may take.
        wait_until(
            lambda: answers(f"{etcd_url}/health"), READY_WITHIN, lambda: (directory / "etcd.log").read_text()[-2000:]
        )
        server = _prepare(directory, binaries, etcd_url, flags)
        try:
            server.start_api()
            yield server
        finally:
            server.stop_api()
    finally:
        end(etcd)


@contextlib.contextmanager
def controller_manager(server: ApiServer, controllers: Sequence[str] = CONTROLLERS) -> Iterator[None]:
    """Run kube-controller-manager against `server` until the block is left: Deployments get pods, orphans go."""
    log = server.directory / "kube-controller-manager.log"
    process = spawn(
        [
            str(server.bin / "kube-controller-manager"),
            f"--kubeconfig={server.kubeconfig}",
            f"--controllers={','.join(controllers)}",
            "--leader-elect=false",
            "--secure-port=0",
            # New kinds (a CRD applied by a test) are collected as soon as this.
            "--min-resync-period=10m",
        ],
        log,
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"kube-controller-manager ended: {log.read_text(errors='replace')[-2000:]}")
    finally:
        end(process)


def programs() -> Path:
    """Return the folder of the programs; build it first where it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slicewise"
    folder = Path(os.environ.get("SLICEWISE_CACHE") or cache) / "bin"
    if not all((folder / name).exists() for name in _PROGRAMS):
        subprocess.run([REPOSITORY / "e2e" / "cluster" / "build.sh"], check=True)
    return folder


def _prepare(directory: Path, binaries: Path, etcd_url: str, flags: Sequence[str]) -> ApiServer:
    """Write keys, tokens, audit policy and kubeconfig, and put the command line together."""
    port = free_port()
    certificates = directory / "certificates"
    server = ApiServer(
        url=f"https://127.0.0.1:{port}",
        token=secrets.token_hex(16),
        guest_token=secrets.token_hex(16),
        # kube-apiserver signs a certificate for its bind address itself and writes it there.
        ca_file=certificates / "apiserver.crt",
        kubeconfig=directory / "kubeconfig",
        audit_log=directory / "audit.log",
        directory=directory,
        bin=binaries,
    )
    signing_key, tokens, policy = directory / "sa.key", directory / "tokens.csv", directory / "audit-policy.json"
    new_key = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", signing_key]
    subprocess.run(new_key, check=True)
    tokens.write_text(
        f'{server.token},test-admin,test-admin,"system:masters"\n{server.guest_token},guest,guest,"guests"\n'
    )
    policy.write_text(json.dumps(_AUDIT_POLICY))
    server.kubeconfig.write_text(json.dumps(kubeconfig(server.url, server.ca_file, server.token)))
    server._argv = [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={certificates}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={signing_key}",
        f"--service-account-signing-key-file={signing_key}",
        # Without kube-controller-manager no namespace gets its default account, and this plugin would refuse every pod.
        "--disable-admission-plugins=ServiceAccount",
        "--feature-gates=ResourceHealthStatus=true",
        "--allow-privileged=true",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={server.audit_log}",
        "--audit-log-maxsize=4000",
        *flags,
    ]
    return server


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
