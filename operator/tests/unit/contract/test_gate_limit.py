"""The limit of the gate in the workers' metrics: rendered with a revision, and no part of what makes one."""

from __future__ import annotations

from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.pool.plan import plan_pool
from slicewise.pool.revision import revision_hash, revision_inputs
from slicewise_worker.settings import WorkerSettings


def rollout(limit: str | None) -> dict[str, Any]:
    return {"strategy": "Canary", "canary": {"p95": limit} if limit else {}}


def variables(limit: str | None) -> dict[str, str]:
    """Return what a worker of a pool with that limit gets."""
    plan = plan_pool(make_pool(replicas=3, rollout=rollout(limit)), make_observed(), 0.0)
    deployment = next(item for item in plan.children or () if item["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item.get("value", "a") for item in container["env"]}


def test_the_worker_gets_the_limit_of_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables("1500ms").items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings.read().p95_seconds == 1.5
    assert "SLICEWISE_WORKER_P95_SECONDS" not in variables(None)


def test_another_limit_is_no_other_revision() -> None:
    specs = [make_pool(replicas=3, rollout=rollout(limit)).spec for limit in ("1500ms", "2s", None)]
    assert len({revision_hash(revision_inputs(spec)) for spec in specs}) == 1
