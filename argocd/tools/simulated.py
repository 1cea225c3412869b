"""Write the test data of Argo CD's scripts from pools that the operator's own code has brought there, in a simulated cluster.

Run from the repository's root: `python argocd/tools/simulated.py`. `live.py` takes the same from a real cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "operator" / "tests"))

from builders import make_pool, three_zones  # noqa: E402 - a folder of tests
from counting import Quality  # noqa: E402
from judged import ask, judged, runs, until  # noqa: E402
from simulation import OTHER, Simulation, changed  # noqa: E402
from upstream_tests import put, write_tests  # noqa: E402

SCRIPTS: Final = ROOT / "argocd" / "resource_customizations" / "slicewise.dev" / "InferencePool"
KEPT: Final = ("name", "namespace", "generation", "annotations")


def pool_of(run: Simulation) -> dict[str, Any]:
    """Return the pool of a simulation as the API server has it."""
    body = run.pool.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    metadata = {key: run.pool.metadata.model_dump(by_alias=True, mode="json")[key] for key in KEPT}
    return {
        "apiVersion": run.pool.api_version,
        "kind": run.pool.kind,
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": body["spec"],
        "status": dict(run.status),
    }


def settled(**spec: Any) -> Simulation:
    """Return a simulation that has come to rest."""
    run = Simulation(make_pool(replicas=3, **spec))
    run.settle()
    return run


def at(phase: str, **traffic: Any) -> Simulation:
    """Return a simulation whose new model is in that phase."""
    run = judged(**traffic)
    until(run, phase)
    if phase == "Analysing":
        runs(run, 20)
    return run


def new() -> Simulation:
    """Nobody has looked: the schema's default."""
    run = Simulation(make_pool(replicas=3))
    run.status = {"observedGeneration": -1}
    return run


def starting() -> Simulation:
    """Workers are being started."""
    run = Simulation(make_pool(replicas=3))
    run.operate()
    return run


def changed_unseen() -> Simulation:
    """The spec has changed, and the operator has not looked."""
    run = settled()
    run.pool = changed(run.pool, model=OTHER)
    return run


def paused_by_spec() -> Simulation:
    """The spec holds a rollout that is under way."""
    run = at("Analysing")
    run.pool = changed(run.pool, rollout={**_rollout(run), "paused": True})
    run.operate()
    return run


def next_is_held() -> Simulation:
    """The spec holds the next rollout before it starts."""
    run = settled(rollout={"paused": True})
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    return run


def paused_by_request() -> Simulation:
    """Somebody asked for a pause."""
    run = at("Analysing")
    ask(run, "pause")
    run.operate()
    return run


def undecided() -> Simulation:
    """Too little traffic until the deadline."""
    run = judged(rate=0.2, canary={"deadline": "2m", "steps": [{"weight": 5, "window": "60s"}]})
    until(run, "Analysing")
    runs(run, 130)
    return run


def aborted_by_request() -> Simulation:
    """Somebody gave the canary up."""
    run = at("Analysing")
    ask(run, "abort")
    until(run, "RolledBack")
    return run


def no_slice() -> Simulation:
    """Every slice is taken and every zone is at its floor."""
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}), nodes={n.name: n for n in three_zones(1)})
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    run.operate()
    return run


def roll_back_is_paused() -> Simulation:
    """Proved bad while somebody held it: its requests are gone, its worker stays until somebody resumes."""
    run = at("Analysing", rate=100)
    ask(run, "pause")
    assert run.gateway is not None
    run.gateway.quality[run.status["rollout"]["target"]] = Quality(failed=0.6)
    until(run, "RollingBack", 60)
    runs(run, 3)
    return run


def stable_gone() -> Simulation:
    """Given up, and nothing to roll back to."""
    run = at("Analysing", rate=0)
    stable = run.status["revisions"]["stable"]
    run.broken.add(stable)
    run.pods = {name: replace(pod, ready=pod.revision != stable) for name, pod in run.pods.items()}
    ask(run, "abort")
    runs(run, 130)
    return run


def _rollout(run: Simulation) -> dict[str, Any]:
    return dict(run.pool.spec.rollout.model_dump(by_alias=True, exclude_none=True, mode="json"))


STATES: Final[dict[str, Callable[[], Simulation]]] = {
    "progressing_new": new,
    "progressing_newGeneration": changed_unseen,
    "progressing_starting": starting,
    "degraded_noSliceToSpare": no_slice,
    "progressing_analysing": lambda: at("Analysing"),
    "progressing_promoting": lambda: at("Promoting"),
    "progressing_rollingBack": lambda: at("RollingBack", rate=200, how=Quality(failed=0.3)),
    "healthy": settled,
    "healthy_scaledToZero": lambda: settled_with(replicas=0),
    "suspended_spec": lambda: settled_with(suspend=True),
    "suspended_pausedBySpec": paused_by_spec,
    "suspended_nextIsHeld": next_is_held,
    "suspended_pausedByRequest": paused_by_request,
    "suspended_undecided": undecided,
    "suspended_rollBackIsPaused": roll_back_is_paused,
    "degraded_stableGone": stable_gone,
    "degraded_tooManyErrors": lambda: at("RolledBack", rate=200, how=Quality(failed=0.3)),
    "degraded_tooSlow": lambda: at("RolledBack", how=Quality(slow=0.5)),
    "degraded_abortedByRequest": aborted_by_request,
    "degraded_notSupported": lambda: settled_with(slice={"deviceClass": "gpu.example.com"}),
}
"""File → how the operator's code gets there. The first word is the health."""


def settled_with(**spec: Any) -> Simulation:
    """Return a simulation that has come to rest, with other fields of the spec."""
    run = Simulation(make_pool(**{"replicas": 3, **spec}))
    for _ in range(40):
        run.operate()
        run.tick()
    run.operate()
    return run


def write() -> None:
    """Write every state, what each script is to make of it, and the tests in upstream's form."""
    pools = {name: pool_of(reach()) for name, reach in STATES.items()}
    for name, pool in pools.items():
        put(SCRIPTS / "testdata" / f"{name}.yaml", pool)
    write_tests(SCRIPTS, pools)


if __name__ == "__main__":
    write()
