"""The chart's Redis for trials, in a story's own namespace, and the Secret by which its pools find it."""

from __future__ import annotations

from e2e.support.installation import RELEASE
from e2e.support.polling import patiently
from e2e.support.programs import ROOT, run
from e2e.support.story import Story

NAME = f"{RELEASE}-redis"
SECRET = "redis"


class TrialRedis:
    """One Redis that keeps nothing when it goes."""

    def __init__(self, story: Story) -> None:
        self._story = story
        rendered = run(
            "helm", "template", RELEASE, ROOT / "charts/slicewise", "-n", story.namespace, "--show-only", "templates/redis.yaml",
            "--set", "redis.enabled=true",
            "--set", "redis.image.repository=slicewise-redis", "--set", "redis.image.tag=e2e", "--set", "redis.image.digest=",
        )  # fmt: skip
        story.kubectl("apply", "-f", "-", stdin=rendered)
        address = f"redis://{NAME}.{story.namespace}.svc:6379/0"
        story.kubectl("create", "secret", "generic", SECRET, f"--from-literal=url={address}")
        self._is_there()

    def is_killed(self) -> None:
        """It goes at once, without a chance to say goodbye, and no other one comes."""
        self._story.kubectl("scale", f"deployment/{NAME}", "--replicas=0")
        self._story.kubectl(
            "delete", "pods", "-l", "app.kubernetes.io/component=redis", "--grace-period=0", "--force", "--wait=false"
        )

    def returns(self) -> None:
        """Another one comes, with nothing in it."""
        self._story.kubectl("scale", f"deployment/{NAME}", "--replicas=1")
        self._is_there()

    def _is_there(self) -> None:
        self._story.kubectl("rollout", "status", f"deployment/{NAME}", patiently(110))
