"""The chart's MariaDB for trials, in a story's own namespace, and the Secret by which its pools find it."""

from __future__ import annotations

from e2e.support.installation import RELEASE
from e2e.support.polling import patiently
from e2e.support.programs import ROOT, run
from e2e.support.story import Story

NAME = f"{RELEASE}-mariadb"
SECRET = "jobs-db"
_PASSWORD = "word-of-the-stories"


class TrialMariadb:
    """One MariaDB, with its data on a claim unless a story says otherwise."""

    def __init__(self, story: Story, *, persistent: bool = True) -> None:
        self._story = story
        given = {
            "enabled": "true",
            "image.repository": "slicewise-mariadb",
            "image.tag": "e2e",
            "passwordSecret": "mariadb-password",
            "storage.persistent": str(persistent).lower(),
            "storage.size": "1Gi",
        }
        options = [f"--set=mariadb.{name}={value}" for name, value in given.items()]
        rendered = run(
            "helm", "template", RELEASE, ROOT / "charts/slicewise", "-n", story.namespace,
            "--show-only", "templates/mariadb.yaml", *options,
        )  # fmt: skip
        story.kubectl("create", "secret", "generic", "mariadb-password", f"--from-literal=password={_PASSWORD}")
        story.kubectl("apply", "-f", "-", stdin=rendered)
        address = f"mysql://slicewise:{_PASSWORD}@{NAME}.{story.namespace}.svc/slicewise?tls=off"
        story.kubectl("create", "secret", "generic", SECRET, f"--from-literal=url={address}")
        self.is_there()

    def is_killed(self) -> None:
        """Its pod goes at once, and the next one finds what the volume has."""
        self._story.kubectl(
            "delete", "pod", f"{NAME}-0", "--grace-period=0", "--force", "--wait=false", "--ignore-not-found"
        )

    def goes(self) -> None:
        """Its pod goes at once, and no other one comes."""
        self._story.kubectl("scale", f"statefulset/{NAME}", "--replicas=0")
        self.is_killed()

    def returns(self) -> None:
        """Another pod comes, with the same data."""
        self._story.kubectl("scale", f"statefulset/{NAME}", "--replicas=1")
        self.is_there()

    def is_there(self) -> None:
        """It takes connections."""
        self._story.kubectl("rollout", "status", f"statefulset/{NAME}", patiently(110))
