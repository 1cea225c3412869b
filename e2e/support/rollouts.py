"""Rollouts as the stories handle them: a pool whose next version is judged, and where its rollout stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2e.support.api import Object
from e2e.support.given import Given
from e2e.support.phases import Phases
from e2e.support.polling import eventually
from e2e.support.pool import Pool, model, revision_of
from e2e.support.when import When

EASY = {"p95": "20s", "maxErrors": "10%", "minSamples": 20, "steps": [{"weight": 25, "window": "10s"}]}
"""Limits that a good version passes after some thirty requests, on the slowest of machines."""


def judged(
    given: Given, canary: Mapping[str, Any] | None = None, progress_deadline: str = "15m", **spec: Any
) -> tuple[Pool, Phases]:
    """A pool of the wordy model, whose next version is judged, and an eye on that. `canary`: what differs from `EASY`."""
    rules = {"canary": {**EASY, **(canary or {})}, "progressDeadline": progress_deadline}
    pool = given.a_pool("chat", model=model("wordy"), rollout=rules, **spec)
    return pool, given.an_eye_on_the_rollouts_of(pool)


def rollout(pool: Pool) -> Object:
    return dict(pool.status().get("rollout") or {})


def reaches(phases: Phases, phase: str, within: float = 120) -> Object:
    """Wait until a phase begins, or has begun since the last call; returns `status.rollout` as it was then."""
    return eventually(f"the rollout is {phase}", lambda: phases.next(phase), within, every=0.1)


def ask(when: When, pool: Pool, action: str) -> None:
    """The user's tool writes the request."""
    now = rollout(pool)
    request = f"slicewise.dev/rollout-request={action}:{now['target']}:{now['startedAt']}"
    when.kubectl("annotate", "--overwrite", f"ipool/{pool.name}", request)


def all_are(pool: Pool, revision: str, within: float = 120) -> None:
    """Wait until every worker is of the revision, and there are as many as the pool is to have."""
    count = pool.object()["spec"]["replicas"]

    def check() -> None:
        found = {revision_of(pod) for pod in pool.workers()}
        assert found == {revision}, f"workers of {found}"
        assert len(pool.workers()) == count, f"{len(pool.workers())} workers"

    eventually(f"all workers are of {revision}", check, within)
