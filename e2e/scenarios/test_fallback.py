"""The game day of the CPU fallback: every device dies under load, and requests are answered on CPU or refused with Retry-After.

The fake device plugin only says that a device is unhealthy; the worker on it computes on the CPU and answers on, and the operator keeps
a worker that answers while no slice is free. A worker on a real dead GPU ends, so the story ends the workers itself.
"""

from __future__ import annotations

import time
from typing import Any

from e2e.support.client import Answer, Client
from e2e.support.given import Given
from e2e.support.jobs import Jobs
from e2e.support.load import Load
from e2e.support.nodes import HOME
from e2e.support.polling import eventually
from e2e.support.pool import Pool, model, role_of, serves
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.trial_mariadb import SECRET
from e2e.support.when import When

ON_CPU = "cpu-fallback"


def cpu(**fields: Any) -> dict[str, Any]:
    """Return `spec.fallback` with a model of its own name, so that an answer shows which one it is of."""
    small = {**model("tiny"), "name": "on-cpu"}
    return {"cpu": {"replicas": 1, "cores": "1", "memory": "512Mi", "model": small, **fields}}


def all_slices_die(story: Story, when: When, pool: Pool) -> float:
    """All devices of the cluster are unhealthy, and the pool's workers have ended; returns when that began, in seconds since the epoch."""
    for line in story.nodes.devices("list").splitlines():
        story.nodes.devices("kill", line.split()[0])
    eventually("no node offers a slice", lambda: _no_slice(story), within=60)
    workers = f"slicewise.dev/pool={pool.name},slicewise.dev/role=worker"
    began = time.time()
    when.kubectl("delete", "pod", "-l", workers, "--grace-period=0", "--force")
    return began


def on_cpu(pool: Pool) -> list[str]:
    """Names of the fallback's pods that are ready."""
    pods = [pod for pod in pool.children("pods") if role_of(pod) == "fallback"]
    return [pod["metadata"]["name"] for pod in pods if serves(pod)]


def every_failure_was_a_refusal_to_come_back_later(load: Load, ended: float) -> None:
    """`ended`: when the workers were."""
    bad = [item for item in load.failures() if item.get("status") != 503 or not item.get("retry_after")]
    # What ran on a worker then has lost its answer: with a byte sent, nothing can be tried again. On a busy machine that is more.
    ran = [item for item in load.requests() if item["at"] <= ended <= item["at"] + item["seconds"]]
    assert len(bad) <= 3 + len(ran), bad[:5]


def budgets_of(pool: Pool) -> dict[str, int]:
    found = pool.children("poddisruptionbudgets")
    return {item["metadata"]["name"]: item["spec"].get("minAvailable") for item in found}


def test_when_every_device_dies_under_load_requests_are_answered_on_cpu_until_slices_are_back(
    story: Story, given: Given, when: When, then: Then
) -> None:
    given.a_mariadb()
    accepts = {"databaseSecretRef": {"name": SECRET}, "replicas": 1, "dispatchers": 1, "slots": 2}
    pool = given.a_pool("chat", fallback=cpu(), jobs=accepts)
    then.says(pool, "JobsAvailable", "True", within=120)
    then.says(pool, "FallbackActive", "False", "NotNeeded")
    # On a busy machine the first worker may take longer than the 15 s after which the fallback starts.
    eventually("no worker on CPU", lambda: _none(on_cpu(pool)), within=120)
    budgets = budgets_of(pool)
    client = given.a_client()
    jobs = Jobs(client, pool)
    # One worker on CPU takes what three did; a request that waits there for longer than its client does would be no refusal.
    load = given.load_on(pool, rate=2)
    monitoring = given.a_prometheus()
    here = f'namespace="{pool.namespace}"'
    monitoring.sees("the operator", f'slicewise_pool_condition{{{here},type="FallbackActive",status="False"}} == 1')
    monitoring.sees(
        "a worker's answers", f'slicewise_worker_requests_total{{{here},slicewise_dev_pool="{pool.name}"}} > 0'
    )
    monitoring.sees("Envoy", f'envoy_cluster_upstream_rq_total{{{here},slicewise_dev_pool="{pool.name}"}} > 0')
    monitoring.sees("the gateway's agent", f"slicewise_gateway_programmed{{{here}}} == 1")
    monitoring.is_quiet(pool)

    jobs.send(12)
    ended = all_slices_die(story, when, pool)
    jobs.send(12)
    then.says(pool, "FallbackActive", "True", within=60)
    then.event(pool, "FallbackStarted")
    then.says(pool, "FallbackActive", "True", "Serving", within=120)
    then.says(pool, "ServingOnGPU", "False", "OnFallback")
    then.says(pool, "Ready", "False", words=["the CPU fallback answers meanwhile"])
    assert budgets_of(pool) == budgets, "a floor was traded"
    monitoring.fires("SlicewiseOnFallback", pool)
    monitoring.fires("SlicewiseCapacityShort", pool, within=120)

    # What was held meanwhile fills its queue at first, and then it refuses.
    answer = eventually("an answer from the CPU", lambda: _answered(client, pool), within=120)
    assert answer.headers["x-slicewise-served-by"] == ON_CPU
    assert answer.headers["x-slicewise-revision"] == ON_CPU
    assert answer.body["model"] == "on-cpu"
    load.goes_on_for(20)
    served = [item for item in load.requests() if item.get("served_by") == ON_CPU]
    assert len(served) >= 20
    assert {job["servedBy"] for job in jobs.are_done()} >= {ON_CPU}

    story.nodes.devices("reset")
    then.is_ready(pool, within=240)
    answer = client.ask(pool)
    assert (answer.status, answer.headers.get("x-slicewise-served-by")) == (200, None)
    then.says(pool, "FallbackActive", "False", "NotNeeded", within=120)
    then.event(pool, "FallbackEnded")
    monitoring.is_quiet(pool)
    eventually("the workers on CPU are gone", lambda: _none(on_cpu(pool)), within=120)
    load.goes_on_for(20)
    load.stop()
    every_failure_was_a_refusal_to_come_back_later(load, ended)


def test_warm_workers_answer_at_once_and_no_request_is_held_for_long(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", fallback=cpu(warm=True))
    eventually("a warm worker", lambda: _some(on_cpu(pool)), within=120)
    load = given.load_on(pool, rate=3)
    load.goes_on_for(10)
    assert not [item for item in load.requests() if item.get("served_by")], "slices serve, and the CPU was asked"
    ended = all_slices_die(story, when, pool)
    load.goes_on_for(30)
    assert [item for item in load.requests() if item.get("served_by") == ON_CPU]
    story.nodes.devices("reset")
    then.is_ready(pool, within=240)
    load.stop()
    every_failure_was_a_refusal_to_come_back_later(load, ended)


def _no_slice(story: Story) -> None:
    offered = {node: story.nodes.slices(node) for node in HOME}
    assert not any(offered.values()), offered


def _answered(client: Client, pool: Pool) -> Answer:
    answer = client.ask(pool)
    assert answer.status == 200, (answer.status, answer.headers)
    return answer


def _none(found: list[str]) -> None:
    assert found == [], found


def _some(found: list[str]) -> None:
    assert found
