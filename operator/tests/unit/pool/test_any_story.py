"""No sequence of edits and mishaps breaks the two promises: the floor, and one worker a slice."""

from __future__ import annotations

from dataclasses import replace

from builders import make_node, make_pool
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1 import InferencePool


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    start=st.integers(0, 7),
    floor=st.one_of(st.none(), st.integers(0, 2)),
    edits=st.lists(st.sampled_from(["model", "back", "up", "down", "cordon", "uncordon", "kill", "zero"]), max_size=6),
)
@example(seed=0, slices=[0, 0, 3], start=7, floor=2, edits=["down", "model"])
def test_no_story_takes_a_zone_below_its_floor_or_two_workers_to_one_slice(
    seed: int, slices: list[int], start: int, floor: int | None, edits: list[str]
) -> None:
    zones = {} if floor is None else {"minAvailable": floor}
    run = Simulation(make_pool(replicas=start, zones=zones))
    run.random.seed(seed)
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    first = run.pool
    for edit in edits:
        for _ in range(run.random.randrange(40)):
            run.operate()
            run.tick()
        run.pool = _edited(run, first, edit)
    run.broken.clear()
    for name, node in run.nodes.items():
        run.nodes[name] = replace(node, cordoned=False)
    run.settle(1500)


def _edited(run: Simulation, first: InferencePool, edit: str) -> InferencePool:
    count = run.pool.spec.replicas or 0
    match edit:
        case "model":
            return changed(run.pool, model=OTHER)
        case "back":
            return changed(run.pool, model=first.spec.model.model_dump(by_alias=True, exclude_none=True))
        case "up":
            return changed(run.pool, replicas=count + 2)
        case "down":
            return changed(run.pool, replicas=max(0, count - 2))
        case "zero":
            return changed(run.pool, replicas=0)
        case "kill" if run.pods:
            del run.pods[run.random.choice(sorted(run.pods))]
        case "cordon" | "uncordon":
            name = run.random.choice(sorted(run.nodes))
            run.nodes[name] = replace(run.nodes[name], cordoned=edit == "cordon")
    return run.pool
