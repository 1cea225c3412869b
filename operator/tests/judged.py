"""A pool whose new model is being judged by what a gateway counts, and what tests do with it."""

from __future__ import annotations

from typing import Any

from builders import make_pool
from counting import CountingGateway, Quality
from simulation import OTHER, Simulation, changed

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.api.v1alpha1 import InferencePool
from slicewise.pool.revision import revision_hash, revision_inputs

LIMITS = {"p95": "600ms", "maxErrors": "1%"}


def judged(
    rate: float = 40, canary: dict[str, Any] | None = None, how: Quality | None = None, **spec: Any
) -> Simulation:
    """A settled pool of three workers, whose model has just been changed to one of that quality."""
    rollout = {"canary": {**LIMITS, **(canary or {})}}
    run = Simulation(make_pool(**{"replicas": 3, "rollout": rollout, **spec}), gateway=CountingGateway(rate))
    run.settle()
    change(run, how or Quality(0.001, 0.01))
    return run


def change(run: Simulation, how: Quality) -> None:
    assert run.gateway is not None
    run.pool = changed(run.pool, model=OTHER)
    run.gateway.quality[wanted(run)] = how


def wanted(run: Simulation) -> str:
    return revision_hash(revision_inputs(run.pool.spec))


def ask(run: Simulation, action: str, *rest: object) -> None:
    rollout = run.status["rollout"]
    say(run, ":".join([action, rollout["target"], rollout["startedAt"], *map(str, rest)]))


def say(run: Simulation, text: str) -> None:
    body = run.pool.model_dump(by_alias=True, exclude_none=True, mode="json")
    body["metadata"]["annotations"] = {ANNOTATION_REQUEST: text}
    run.pool = InferencePool.model_validate(body)


def phase(run: Simulation) -> str:
    return str(run.status["rollout"]["phase"])


def until(run: Simulation, name: str, seconds: int = 4000) -> int:
    """Let it run to that phase; returns how many seconds the analysis had by then."""
    started = run.now
    for _ in range(seconds):
        run.operate()
        if phase(run) == name:
            return int(run.now - started)
        run.tick()
    raise AssertionError(f"never {name}: {run.status['rollout']}")


def runs(run: Simulation, seconds: int) -> None:
    for _ in range(seconds):
        run.operate()
        run.tick()
