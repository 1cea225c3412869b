"""A pool's life under a real Argo CD, with self-heal and prune on: Git, drift, buttons, a bad commit, the end."""

from __future__ import annotations

from typing import Any

import pytest
from builders import DIGEST
from e2e.argocd.argocd import eventually
from story import CHART, POOLS, SYSTEM, TEAM, Story

# The fixture may have to build Argo CD first; what it waits for has deadlines.
pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(300, func_only=True)]

STEPS = [{"weight": 25, "window": "1h"}, {"weight": 50, "window": "1h"}]


def model(name: str) -> dict[str, str]:
    return {"source": f"https://models.example.com/{name}.gguf", "digest": DIGEST.replace("0", str(len(name) % 10))}


def judged_by(**canary: Any) -> dict[str, Any]:
    return {"canary": {"p95": "600ms", "maxErrors": "1%", **canary}}


@pytest.fixture
def pool(story: Story) -> Story:
    """A pool of three workers from Git is Healthy."""
    story.nodes.unready.clear()
    story.gateway.failing.clear()
    story.commits("a pool", model=model("one"), replicas=3)
    if POOLS not in story.argo.kubectl("get", "applications.argoproj.io", "-o", "name"):
        story.adds(POOLS)
    story.settles(POOLS)
    return story


def test_a_pool_from_git_is_progressing_then_healthy_and_never_out_of_sync_again(pool: Story) -> None:
    assert pool.healths()[-2:] == ["Progressing", "Healthy"]
    assert pool.becomes("Healthy") == "3 of 3 workers are ready"
    for app in (CHART, POOLS):
        assert pool.syncs(app=app) == ["OutOfSync", "Synced"]
    with pool.without_a_fight():
        assert pool.offered() == set()
    with pool.without_a_fight(CHART):
        pass


def test_drift_by_hand_is_healed(pool: Story) -> None:
    mark = pool.mark()
    pool.argo.kubectl("patch", "ipool", "chat", "-n", TEAM, "--type=merge", "-p", '{"spec": {"replicas": 5}}')
    pool.argo.kubectl("scale", "deployment", "slicewise-operator", "-n", SYSTEM, "--replicas=5")
    eventually("Git wins over the pool", lambda: pool.pool()["spec"]["replicas"] == 3, pool.words)
    read = ("get", "deployment", "slicewise-operator", "-n", SYSTEM, "-o", "jsonpath={.spec.replicas}")
    eventually("and over the chart", lambda: pool.argo.kubectl(*read) == "2", pool.words)
    for app in (CHART, POOLS):
        pool.settles(app)
        assert "OutOfSync" in pool.syncs(mark, app), "the record has what lasts a moment"
    with pool.without_a_fight():
        before = pool.worker_deployment("a")
        pool.argo.kubectl("delete", "deployment", "-n", TEAM, "-l", "slicewise.dev/zone=a")
        eventually("the operator heals a child", lambda: pool.worker_deployment("a") not in {"", before}, pool.words)
        pool.becomes("Healthy", "3 of 3")


def test_a_pool_that_leaves_git_leaves_the_cluster_and_another_stays(pool: Story) -> None:
    pool.commits("another pool", "spare", replicas=0)
    pool.argo.looks(POOLS, pool.words)
    eventually("it is there", lambda: pool.pool("spare"), pool.words)
    pool.git.commit("no other pool", {"pools/spare.yaml": ""})
    pool.settles(POOLS)
    assert not pool.pool("spare")
    assert pool.pool()["status"]["readyReplicas"] == 3


def test_each_button_is_acted_on_and_self_heal_leaves_it_alone(pool: Story) -> None:
    pool.nodes.unready.add("better.gguf")
    pool.commits("a better model", model=model("better"), replicas=3, rollout=judged_by(steps=STEPS))
    pool.settles(POOLS, "Progressing")
    pool.reaches("Warming")
    assert pool.offered() == {"promote", "abort", "pause"}
    with pool.without_a_fight():
        pool.presses("pause")
        pool.becomes("Suspended")
        pool.presses("resume")
        pool.becomes("Progressing")
        pool.presses("abort")
        pool.becomes("Degraded", "by request")
        pool.presses("retry")
        pool.nodes.unready.clear()
        pool.reaches("Analysing", step=0)
        pool.presses("skip-step")
        pool.reaches("Analysing", step=1)
        pool.presses("promote")
        pool.reaches("Idle")
        pool.becomes("Healthy")
    assert pool.pool()["status"]["readyReplicas"] == 3
    pool.argo.compares_on_the_server(POOLS)
    with pool.without_a_fight():
        pass
    assert pool.request().startswith("promote:")


def test_a_bad_commit_is_degraded_by_the_gate_without_a_fight_and_a_revert_is_healthy(pool: Story) -> None:
    old = pool.pool()["status"]["revisions"]["stable"]
    pool.nodes.unready.add("broken.gguf")
    mark = pool.mark()
    steps = judged_by(steps=[{"weight": 25, "window": "10m"}])
    pool.commits("a bad model", model=model("broken"), replicas=3, rollout=steps)
    pool.argo.looks(POOLS, pool.words)
    pool.gateway.failing[pool.reaches("Warming")["target"]] = 0.3
    pool.nodes.unready.clear()

    said = pool.becomes("Degraded", "was given up")
    assert "too many failures" in said
    assert "(maxErrors 1%)" in said
    pool.settles(POOLS, "Degraded")
    given_up = pool.reaches("RolledBack")
    with pool.without_a_fight():
        pass
    assert pool.rollout() == given_up, "it is not tried again"
    assert pool.syncs(mark).count("OutOfSync") == 1, "only the commit was a difference"
    assert pool.pool()["status"]["readyReplicas"] == 3

    pool.git.revert()
    pool.settles(POOLS)
    with pool.without_a_fight():
        pass
    assert pool.pool()["status"]["revisions"]["stable"] == old


def test_deleting_the_applications_leaves_nothing(pool: Story) -> None:
    pool.argo.deletes(POOLS)
    eventually(
        "nothing of the pool is left", lambda: pool.left(TEAM) == [], lambda: f"{pool.left(TEAM)}\n{pool.words()}"
    )
    pool.operator.end()
    pool.argo.deletes(CHART)
    # The operator makes its lease itself.
    lease = ["lease.coordination.k8s.io/slicewise-operator"]
    eventually("nor of the chart", lambda: pool.left(SYSTEM) == lease, lambda: f"{pool.left(SYSTEM)}\n{pool.words()}")
    assert pool.argo.kubectl("get", "applications.argoproj.io", "-o", "name") == ""
    assert "inferencepools" in pool.argo.kubectl("get", "crd", "-o", "name"), "what Helm would keep, Argo CD keeps"
