"""A pool that becomes smaller loses the workers with the fewest requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from builders import MIG, make_node, make_pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation import Simulation, changed

from slicewise.pool.emptiest import choose_by_load
from slicewise.pool.observed import ObservedDeployment, ObservedPod
from slicewise.pool.rollout.view import RevisionReplicas
from slicewise.pool.workers import Workers


def worker(name: str, requests: int | None, *, node: str = "node-1", ready: bool = True) -> ObservedPod:
    return ObservedPod(
        name, f"uid-{name}", "r", "a", node, phase="Running", ready=ready, resource=MIG, requests=requests
    )


FULL, HALF, EMPTY, SILENT = worker("full", 4), worker("half", 2), worker("empty", 0), worker("silent", None)
STARTS = worker("starts", None, ready=False)
BESIDE = worker("beside", 9, node="node-2")
SUSPECT = replace(worker("suspect", 9), device_unhealthy=True)


@pytest.mark.parametrize(
    ("pods", "keep", "goes", "asked"),
    [
        ([FULL, HALF, EMPTY], 2, ["empty"], 3),
        ([FULL, HALF, EMPTY], 1, ["empty", "half"], 3),
        ([FULL, HALF, EMPTY], 0, [], 0),
        ([FULL, HALF, EMPTY], 3, [], 3),
        # The one that does not serve goes first; then the pool is looked at again.
        ([FULL, HALF, STARTS], 1, [], 2),
        ([FULL, STARTS], 1, [], 1),
        # All alike: the ReplicaSet may take any, and no replacement begins in vain.
        ([EMPTY, worker("too", 0)], 1, [], 1),
        # What is not known is not 0.
        ([FULL, HALF, SILENT], 2, ["half"], 3),
        ([FULL, SILENT], 1, ["full"], 2),
        ([FULL, SILENT, worker("mute", None)], 1, [], 1),
        ([SILENT, worker("mute", None)], 1, [], 1),
        # First what the choice by nodes would take.
        ([FULL, EMPTY, BESIDE], 2, ["beside"], 3),
        ([FULL, EMPTY, BESIDE, SUSPECT], 2, ["suspect", "beside"], 4),
    ],
)
def test_the_emptiest_go_by_name_once_all_that_are_left_serve(
    pods: list[ObservedPod], keep: int, goes: list[str], asked: int
) -> None:
    workers = Workers(tuple(pods), (ObservedDeployment("d", "r", "a", len(pods)),))
    replicas, chosen = choose_by_load(RevisionReplicas({"a": keep}, {}), "r", workers, {"node-2"})
    assert [(item.name, item.uid, item.reason) for item in chosen] == [
        (name, f"uid-{name}", "ScaledDown") for name in goes
    ]
    assert replicas.stable == {"a": asked}


def test_while_the_replicaset_removes_one_no_other_is_chosen() -> None:
    """Its Deployment asks for two and three still serve: it is not known which of them goes."""
    workers = Workers((FULL, HALF, EMPTY), (ObservedDeployment("d", "r", "a", 2),))
    assert choose_by_load(RevisionReplicas({"a": 1}, {}), "r", workers, ()) == (RevisionReplicas({"a": 2}, {}), ())


def test_a_replacement_that_begins_for_a_moment_takes_no_slice_for_which_another_worker_waits() -> None:
    waits = replace(worker("waits", None, ready=False), zone="b", node=None, phase="Pending")
    workers = Workers(
        (FULL, EMPTY, waits), (ObservedDeployment("d", "r", "a", 2), ObservedDeployment("e", "r", "b", 1))
    )
    shrinks = RevisionReplicas({"a": 1, "b": 1}, {})
    assert choose_by_load(shrinks, "r", workers, ()) == (shrinks, ())


def test_a_pool_that_becomes_smaller_keeps_the_workers_with_the_most_requests() -> None:
    run = Simulation(make_pool(replicas=6))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, 2) for zone in "abc"}
    run.settle()
    counts = dict(zip(sorted(run.pods), range(6), strict=True))
    run.pods = {name: replace(pod, requests=counts[name]) for name, pod in run.pods.items()}
    fullest = {max(names) for names in zip(sorted(run.pods)[::2], sorted(run.pods)[1::2], strict=True)}
    run.pool = changed(run.pool, replicas=3)
    run.settle()
    assert set(run.pods) == fullest, "the younger one of two has more here, and a ReplicaSet takes the younger"
    assert Counter(run.events)["ScaledDown"] == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    slices=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    start=st.integers(1, 9),
    floor=st.one_of(st.none(), st.integers(0, 2)),
    linger=st.sampled_from([0.0, 0.7]),
    silent=st.booleans(),
    edits=st.lists(st.sampled_from(["up", "down", "down", "one", "kill", "cordon"]), max_size=6),
)
def test_no_story_takes_a_fuller_worker_or_breaks_another_promise(
    *,
    seed: int,
    slices: list[int],
    start: int,
    floor: int | None,
    linger: float,
    silent: bool,
    edits: list[str],
) -> None:
    """`check_emptiest` and the other promises hold in every pass of the simulation, and it comes to rest at the number asked for."""
    run = Simulation(make_pool(replicas=start, zones={} if floor is None else {"minAvailable": floor}))
    run.random.seed(seed)
    run.loads, run.linger = (0, 1, 2, 5, None) if silent else (0, 1, 2, 5), linger
    run.nodes = {
        f"node-{zone}": make_node(f"node-{zone}", zone, count) for zone, count in zip("abc", slices, strict=True)
    }
    for edit in edits:
        for _ in range(run.random.randrange(40)):
            run.operate()
            run.tick()
        _edit(run, edit)
    run.nodes = {name: replace(node, cordoned=False) for name, node in run.nodes.items()}
    run.settle(1500)
    asked = sum(item.replicas for item in run.deployments.values())
    assert asked == run.status["desired"], run.status


def _edit(run: Simulation, edit: str) -> None:
    count = run.pool.spec.replicas or 0
    match edit:
        case "up" | "down":
            run.pool = changed(run.pool, replicas=max(1, count + (3 if edit == "up" else -3)))
        case "one":
            run.pool = changed(run.pool, replicas=1)
        case "kill" if run.pods:
            del run.pods[run.random.choice(sorted(run.pods))]
        case "cordon":
            name = run.random.choice(sorted(run.nodes))
            run.nodes[name] = replace(run.nodes[name], cordoned=True)
