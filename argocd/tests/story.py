"""What the stories with a real Argo CD do and look at."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from builders import pool_object
from e2e.argocd.argocd import ArgoCD, eventually
from e2e.argocd.gitserver import GitServer
from played import Nodes
from servers.control_plane import REPOSITORY
from wiring.counting_pod import CountingGatewayPod
from wiring.operator_process import OperatorProcess

from slicewise.api.labels import ANNOTATION_REQUEST

CHART: Final = "slicewise"
POOLS: Final = "team-a-pools"
"""The applications of docs/install.md."""
SYSTEM: Final = "slicewise-system"
TEAM: Final = "team-a"
CHAT: Final = {
    "namespace": TEAM,
    "resourceName": "chat",
    "group": "slicewise.dev",
    "version": "v1alpha1",
    "kind": "InferencePool",
}


@dataclass
class Story:
    """Argo CD, Git, nodes, the operator and the pool's gateway."""

    argo: ArgoCD
    git: GitServer
    nodes: Nodes
    gateway: CountingGatewayPod
    operator: OperatorProcess

    def adds(self, name: str) -> None:
        """Apply an application as docs/install.md has it, but for the addresses."""
        page = (REPOSITORY / "docs" / "install.md").read_text()
        text = page.partition("## With Argo CD")[2].partition("```yaml\n")[2].partition("```")[0]
        app = next(each for each in yaml.safe_load_all(text) if each["metadata"]["name"] == name)
        app["spec"]["source"] |= {"repoURL": self.git.url, "targetRevision": "main"}
        app["spec"]["destination"]["server"] = self.argo.server
        self.argo.apply(app)
        self.settles(name)

    def commits(self, message: str, name: str = "chat", **spec: Any) -> None:
        """A pool's file is committed."""
        self.git.commit(message, {f"pools/{name}.yaml": yaml.safe_dump(pool_object(name, TEAM, **spec))})

    def settles(self, app: str, health: str = "Healthy") -> None:
        """Argo CD has the newest commit in the cluster, and finds everything as it says."""
        self.argo.looks(app, self.words)

        def check() -> bool:
            status = self.argo.app(app).get("status") or {}
            said = status.get("sync") or {}
            newest = said.get("revision") == self.git.newest() and said.get("status") == "Synced"
            return newest and (status.get("health") or {}).get("status") == health

        eventually(f"{app} is Synced and {health}", check, self.words)

    def becomes(self, health: str, words: str = "") -> str:
        """The pool gets that health in Argo CD, with those words; returns its message."""

        def check() -> str:
            status, message = self.argo.health(POOLS)
            return message or status if status == health and words in message else ""

        return str(eventually(f"{health} {words}", check, self.words))

    @contextlib.contextmanager
    def without_a_fight(self, app: str = POOLS) -> Iterator[None]:
        """In the block, and over three more comparisons, the application never leaves Synced, and Argo CD writes nothing."""
        before = self.mark()
        began, generation = self._operation(app), self.pool()["metadata"]["generation"]
        yield
        for _ in range(3):
            self.argo.looks(app, self.words)
        assert set(self.syncs(before, app)) <= {"Synced"}
        assert self._operation(app) == began, "a sync began"
        assert self.pool()["metadata"]["generation"] == generation, "somebody wrote the spec"

    def _operation(self, app: str) -> str:
        return str(self.argo.app(app)["status"]["operationState"]["startedAt"])

    def mark(self) -> int:
        """A place in the record of states."""
        return len(self.argo.record.states)

    def healths(self) -> list[str]:
        """The states of health that the pools' application went through."""
        return _changes(state.health for state in self.argo.record.of(POOLS))

    def syncs(self, since: int = 0, app: str = POOLS) -> list[str]:
        """The states of sync that an application went through since that mark."""
        return _changes(state.sync for state in self.argo.record.of(app, since))

    def pool(self, name: str = "chat") -> dict[str, Any]:
        """The pool as the API server has it; empty where it is not."""
        text = self.argo.kubectl("get", "inferencepools", name, "-n", TEAM, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text else {}

    def rollout(self) -> dict[str, Any]:
        """`status.rollout` of the pool."""
        return dict((self.pool().get("status") or {}).get("rollout") or {})

    def reaches(self, phase: str, step: int | None = None) -> dict[str, Any]:
        """The rollout gets into that phase, and to that step; returns it."""

        def check() -> dict[str, Any]:
            now = self.rollout()
            return now if now.get("phase") == phase and (step is None or now.get("step") == step) else {}

        return dict(eventually(f"{phase}, step {step}", check, self.words))

    def presses(self, action: str) -> None:
        """A button is pressed, once Argo CD offers it."""
        eventually(f"{action} is offered", lambda: action in self.offered(), self.words)
        self.argo.run_action(POOLS, CHAT, action)
        assert self.request().startswith(f"{action}:"), self.request()

    def request(self) -> str:
        """The request that stands on the pool."""
        return str((self.pool()["metadata"].get("annotations") or {}).get(ANNOTATION_REQUEST, ""))

    def offered(self) -> set[str]:
        """Buttons that can be pressed."""
        return {name for name, enabled in self.argo.actions(POOLS, CHAT).items() if enabled}

    def worker_deployment(self, zone: str) -> str:
        """The uid of the Deployment of a zone's workers; empty where there is none."""
        words = ("get", "deployment", "-n", TEAM, "-l", f"slicewise.dev/zone={zone}")
        return self.argo.kubectl(*words, "-o", "jsonpath={.items[*].metadata.uid}")

    def left(self, namespace: str) -> list[str]:
        """Everything in a namespace but what each has, and Events."""
        kinds = self.argo.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        asked = ",".join(kind for kind in kinds if not kind.startswith("events"))
        theirs = {"serviceaccount/default", "configmap/kube-root-ca.crt"}
        return sorted(set(self.argo.kubectl("get", asked, "-n", namespace, "-o", "name").split()) - theirs)

    def words(self) -> str:
        """What there is to say when something does not happen."""
        apps = self.argo.kubectl("get", "applications.argoproj.io", "-o", "yaml", check=False)[-6000:]
        pool = json.dumps(self.pool().get("status"), indent=1)[-3000:]
        operator = self.operator.words()[-2000:]
        return f"{time.strftime('%T')}\n{apps}\n{pool}\n{operator}\n{self.nodes.trouble[-3:]}\n{self.argo.words()}"


def _changes(states: Iterable[str]) -> list[str]:
    said = [state for state in states if state]
    return [now for before, now in zip(["", *said], said, strict=False) if now != before]
