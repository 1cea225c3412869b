"""Jobs in a cluster: accepted once they are durable, run when there is room, and done whatever dies in between."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

from e2e.support.client import Answer, Client
from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.programs import kubectl
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.trial_mariadb import SECRET
from e2e.support.when import When

JOBS = {"databaseSecretRef": {"name": SECRET}, "replicas": 1, "dispatchers": 1, "slots": 4}


def send(client: Client, pool: Pool, words: str, key: str = "", tokens: int = 16) -> str:
    """Send a job and return its id."""
    body = json.dumps({"prompt": words, "params": {"max_tokens": tokens, "temperature": 0}})
    answer = client.ask(pool, "/jobs", body, key=key)
    assert answer.status == 202, (answer.status, answer.body)
    return str(answer.body["job_id"])


def look(client: Client, pool: Pool, job: str, key: str = "") -> Answer:
    return client.ask(pool, f"/jobs/{job}", method="GET", key=key)


def all_done(client: Client, pool: Pool, jobs: list[str]) -> list[Answer]:
    answers = [look(client, pool, job) for job in jobs]
    assert {answer.status for answer in answers} == {200}, [one.body for one in answers]
    assert Counter(answer.body["status"] for answer in answers) == {"done": len(jobs)}, [one.body for one in answers]
    return answers


def test_jobs_are_done_though_workers_dispatchers_gateways_and_the_operator_die(
    story: Story, given: Given, when: When, then: Then
) -> None:
    given.a_mariadb()
    pool = given.a_pool("chat", jobs=JOBS)
    then.says(pool, "JobsAvailable", "True", within=120)
    client = given.a_client()
    first = send(client, pool, "Tell me about slices.")
    (answer,) = eventually("a job is done", partial(all_done, client, pool, [first]), within=60)
    assert answer.body["servedBy"] == "slices"
    assert answer.body["result"]["choices"][0]["message"]["content"]

    assert "no job waits or runs" in kubectl("slicewise", "jobs", pool.name, "-n", story.namespace)

    jobs = [send(client, pool, f"Tell me about slice {number}.", tokens=64) for number in range(12)]
    for role in ("worker", "gateway"):
        when.kubectl(
            "delete",
            "pod",
            "-l",
            f"slicewise.dev/pool={pool.name},slicewise.dev/role={role}",
            "--force",
            "--grace-period=0",
        )
    when.operator_killed()
    when.kubectl(
        "delete",
        "pod",
        "-l",
        f"slicewise.dev/pool={pool.name},slicewise.dev/role=jobs-dispatch",
        "--force",
        "--grace-period=0",
    )
    for answer in eventually("all jobs are done", partial(all_done, client, pool, jobs), within=240):
        assert answer.body["result"]["usage"]["completion_tokens"] > 0
    (tenant,) = json.loads(kubectl("slicewise", "jobs", pool.name, "-n", story.namespace, "-o", "json"))["tenants"]
    assert tenant["jobs"]["done"] == len(jobs) + 1, tenant
    then.is_ready(pool)


def test_a_database_that_goes_costs_no_accepted_job_and_no_other_request(
    story: Story, given: Given, when: When, then: Then
) -> None:
    database = given.a_mariadb()
    pool = given.a_pool("chat", replicas=1, zones=None, jobs=JOBS)
    then.says(pool, "JobsAvailable", "True", within=120)
    client = given.a_client()
    job = send(client, pool, "Tell me about slices.")
    eventually("it is done", partial(all_done, client, pool, [job]), within=60)
    load = given.load_on(pool)
    database.goes()
    then.says(pool, "JobsAvailable", "False", "DatabaseAway", within=120)
    refused = client.ask(pool, "/jobs", json.dumps({"prompt": "Hello"}))
    assert (refused.status, refused.error["code"]) == (503, "database_away"), refused.body
    assert "retry-after" in refused.headers
    then.is_ready(pool)
    database.returns()
    then.says(pool, "JobsAvailable", "True", within=120)
    again = send(client, pool, "Tell me about slices.")
    eventually("a new one is done, and the old one still is", partial(all_done, client, pool, [job, again]), within=90)
    then.no_request_failed(load)
    when.edited(pool, jobs=None)
    eventually("the programs of jobs have gone", lambda: _no_children(story, pool), within=60)
    assert client.ask(pool, "/jobs", json.dumps({"prompt": "Hello"})).status == 404


def _no_children(story: Story, pool: Pool) -> None:
    left = [item["metadata"]["name"] for item in pool.children("deployments") if "jobs" in item["metadata"]["name"]]
    assert not left, left
