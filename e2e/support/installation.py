"""The chart on the cluster, as a user installs it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from e2e.support.api import Api, Object
from e2e.support.polling import eventually, patiently
from e2e.support.programs import HERE, ROOT, kubectl, run

NAMESPACE = "slicewise-system"
RELEASE = "slicewise"
OPERATOR = "app.kubernetes.io/component=operator"
WORKER_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"cpu": "500m", "memory": "512Mi"},
}
"""Of a worker in the stories: one thread and a tiny model."""
LEASE_SECONDS = 8
"""Shorter than the chart's 15, since many stories kill the leader; a busy machine still renews in time."""


class Installation:
    """The operator's release."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @staticmethod
    def prepare() -> None:
        """Bring up what the stories stand on: cluster, images, model files. Does nothing where all is there."""
        run(HERE / "ready.sh", within=2400)

    def install(self, *values: str) -> str:
        """Install or upgrade the chart and wait; pods are replaced when the image behind the tag is another."""
        image = run("docker", "image", "inspect", "slicewise-operator:0.1.0", "--format", "{{.Id}}").strip()
        return run(
            "helm", "upgrade", "--install", RELEASE, ROOT / "charts/slicewise", "-n", NAMESPACE, "--create-namespace",
            "--wait", patiently(180),
            "--set", "worker.allowPrivateSources=true",
            # The slices are pretended.
            "--set", "worker.allowCPU=true",
            "--set-json", f"worker.resources={json.dumps(WORKER_RESOURCES)}",
            # The stories look at single workers through the API server, which is none of the peers that may reach one.
            "--set-json", 'networkPolicy.metricsFrom=[{"ipBlock": {"cidr": "0.0.0.0/0"}}]',
            "--set", f"leaderElection.leaseDurationSeconds={LEASE_SECONDS}",
            "--set-string", f"podAnnotations.image-id={image}",
            *(part for value in values for part in ("--set-json", value)),
            within=240,
        )  # fmt: skip

    def uninstall(self) -> None:
        run("helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", patiently(110), "--ignore-not-found", within=120)

    def is_installed(self) -> bool:
        return RELEASE in [item["name"] for item in json.loads(run("helm", "list", "-n", NAMESPACE, "-o", "json"))]

    def pods(self) -> list[Object]:
        return self._api.all("pods", NAMESPACE, OPERATOR)

    def leader(self) -> str:
        """Return the name of the operator pod that acts."""
        lease = self._api.get("leases", "slicewise-operator", NAMESPACE)
        assert lease is not None, "there is no Lease"
        holder = str((lease["spec"].get("holderIdentity") or "").split("_")[0])
        assert holder in [pod["metadata"]["name"] for pod in self.pods()], f"the Lease is held by {holder!r}"
        return holder

    def kill(self, pods: Sequence[str] = ()) -> bool:
        """Kill operator pods (all of them where none is named) at once, without a chance to say goodbye; returns whether there were any."""
        names = list(pods) or [pod["metadata"]["name"] for pod in self.pods()]
        if not names:  # after the last kill none is there again, and kubectl asks for a name
            return False
        kubectl(
            "-n",
            NAMESPACE,
            "delete",
            "pod",
            *names,
            "--grace-period=0",
            "--force",
            "--wait=false",
            "--ignore-not-found",
        )
        return True

    def scale(self, replicas: int) -> None:
        kubectl("-n", NAMESPACE, "scale", "deployment/slicewise-operator", f"--replicas={replicas}")

    def has_pods(self, count: int) -> None:
        """Wait until so many operator pods are there and ready."""

        def settled() -> None:
            pods = self.pods()
            ready = [
                pod
                for pod in pods
                for item in pod["status"].get("conditions") or []
                if item["type"] == "Ready" and item["status"] == "True"
            ]
            assert len(pods) == len(ready) == count, f"{len(pods)} operator pods, {len(ready)} ready"

        eventually(f"{count} operator pods are ready", settled, within=120)
