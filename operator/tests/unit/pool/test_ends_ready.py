"""From whatever a pool has been brought to, a valid spec leads to Ready in bounded time, or the status says what a person can do."""

from __future__ import annotations

from dataclasses import replace

from builders import make_node, make_pool
from counting import CountingGateway
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judged import LIMITS, ask, wanted
from simulation import Simulation, changed

from slicewise.pool.rollout.standing import STABLE_GONE_SECONDS

EDITS = ["wrong", "good", "first", "lose", "return", "kill", "break", "gone", "promote", "abort", "retry", "up", "down"]
BOUND = int(STABLE_GONE_SECONDS) + 900


def model(letter: str) -> dict[str, str]:
    return {"source": "https://models.example.com/a.gguf", "digest": "sha256:" + letter * 64}


def happens(run: Simulation, what: str, number: int) -> None:
    match what:
        case "wrong" | "good":
            run.pool = changed(run.pool, model=model("0123456789"[number % 10]))
            if what == "wrong":
                run.broken.add(wanted(run))
        case "first":
            run.pool = changed(run.pool, model=model("f"))
        case "lose" if len(run.nodes) > 1:
            node = run.random.choice(sorted(run.nodes))
            del run.nodes[node]
            run.pods = {name: pod for name, pod in run.pods.items() if pod.node != node}
        case "return":
            run.nodes[f"new-{number}"] = make_node(f"new-{number}", run.random.choice("abcd"), 2)
        case "kill" if run.pods:
            del run.pods[run.random.choice(sorted(run.pods))]
        case "break" | "gone":
            stable = run.status.get("revisions", {}).get("stable")
            run.broken.add(str(stable))
            for name, pod in list(run.pods.items()):
                if pod.revision == stable and (what == "gone" or run.random.random() < 0.5):
                    run.pods[name] = replace(pod, ready=False)
        case "promote" | "abort" | "retry" if run.status.get("rollout", {}).get("startedAt"):
            ask(run, what)
        case "up" | "down":
            count = (run.pool.spec.replicas or 0) + (1 if what == "up" else -1)
            run.pool = changed(run.pool, replicas=max(0, min(6, count)))


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    replicas=st.integers(1, 5),
    floor=st.one_of(st.none(), st.integers(0, 1)),
    judged=st.booleans(),
    rate=st.sampled_from([0.0, 50.0]),
    crashes=st.sampled_from([0.0, 0.2]),
    start=st.sampled_from(["wrong", "good"]),
    edits=st.lists(st.sampled_from(EDITS), max_size=7),
)
@example(seed=0, replicas=3, floor=1, judged=True, rate=0.0, crashes=0.0, start="wrong", edits=["wrong", "good"])
@example(
    seed=1, replicas=3, floor=1, judged=True, rate=50.0, crashes=0.2, start="good", edits=["good", "gone", "wrong"]
)
@example(
    seed=0, replicas=1, floor=None, judged=False, rate=0.0, crashes=0.0, start="good", edits=["wrong", "break", "up"]
)
def test_a_valid_spec_leads_to_ready_or_to_a_person(
    *,
    seed: int,
    replicas: int,
    floor: int | None,
    judged: bool,
    rate: float,
    crashes: float,
    start: str,
    edits: list[str],
) -> None:
    rollout = {"canary": {**LIMITS, "deadline": "5m", "onUndecided": "Promote"}} if judged else {}
    zones = {} if floor is None else {"minAvailable": floor}
    run = Simulation(make_pool(replicas=replicas, zones=zones, rollout=rollout, model=model("f")))
    run.gateway = CountingGateway(rate, seed=seed)
    run.random.seed(seed)
    if start == "wrong":
        run.broken.add(wanted(run))
    run.crashes = crashes
    for number, edit in enumerate(edits):
        for _ in range(run.random.randrange(60)):
            run.operate()
            run.tick()
        happens(run, edit, number)
    run.crashes = 0.0
    run.pool = changed(run.pool, model=model("a"), replicas=max(1, run.pool.spec.replicas or 0))
    for zone in "abcd":
        run.nodes[f"more-{zone}"] = make_node(f"more-{zone}", zone, 3)
    ends(run)


def ends(run: Simulation) -> None:
    """Ready in bounded time; else Stalled, and what its words name helps."""
    for _ in range(BOUND):
        run.operate()
        if run.condition("Ready")["status"] == "True":
            assert run.status["revisions"] == {"stable": wanted(run)}
            return
        run.tick()
    stalled = run.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "StableGone"), (
        f"{run.condition('Ready')}, {run.status['rollout']}"
    )
    assert "kubectl slicewise promote chat" in stalled["message"]
