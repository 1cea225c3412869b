"""Passes come with events and when they are due: one at another time would change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node, make_pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passes import Passes
from simulation import OTHER, Simulation, changed

EDITS = ["model", "more", "fewer", "narrow", "widen", "cordon", "uncordon", "suspect", "crowd", "rename"]


def happen(run: Simulation, edit: str) -> None:
    count, node = run.pool.spec.replicas or 1, run.random.choice(sorted(run.nodes))
    serving = [pod for pod in run.pods.values() if pod.serving]
    match edit:
        case "model":
            run.pool = changed(run.pool, model=OTHER)
        case "more" | "fewer":
            run.pool = changed(run.pool, replicas=max(1, count + (2 if edit == "more" else -2)))
        case "narrow" | "widen":
            run.pool = changed(run.pool, zones={"names": ["a"]} if edit == "narrow" else {})
        case "cordon" | "uncordon":
            run.nodes[node] = replace(run.nodes[node], cordoned=edit == "cordon")
        case "suspect" if serving:
            run.report_unhealthy(run.random.choice(serving), dead=False)
        case "crowd":
            run.crowded = {node}
        case "rename":
            run.rename_zones(dict(zip("abcxyz", "xyzabc", strict=True)))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    start=st.integers(1, 6),
    edits=st.lists(st.sampled_from(EDITS), min_size=1, max_size=4),
)
def test_a_pass_that_was_not_asked_for_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int, slices: list[int], start: int, edits: list[str]
) -> None:
    monkeypatch.setattr(Passes, "MADE", 1)
    run = Simulation(make_pool(replicas=start))
    run.random.seed(seed)
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    for edit in ["", *edits]:
        happen(run, edit)
        for _ in range(60):
            run.operate()
            run.tick()
    assert run.passes.idle


def test_a_change_and_the_time_that_a_pass_asked_for_bring_the_next_one() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    stands, idle = run.passes.last, run.passes.idle
    run.operate()
    assert (run.passes.last, run.passes.idle) == (stands, idle + 1)
    run.pods.pop(next(iter(run.pods)))
    run.operate()
    assert run.passes.idle == idle + 1
    run.pool = changed(run.pool, replicas=9)
    short = run.settle()
    assert short.requeue_after is not None, "three workers have no slice, and nothing says when one is there"
    idle = run.passes.idle
    run.now += short.requeue_after - 1
    run.operate()
    assert run.passes.idle == idle + 1
    run.now += 1
    run.operate()
    assert run.passes.idle == idle + 1
