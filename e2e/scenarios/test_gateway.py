"""The gateway of a pool: it comes and goes without a failed request, asks for keys, keeps limits, and says what is wrong."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest
from e2e.support.client import Client
from e2e.support.given import Given
from e2e.support.polling import PATIENCE, STORY_SECONDS, eventually
from e2e.support.pool import Pool, serves
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

ROLL_OUTS = int(os.environ.get("SLICEWISE_GATEWAY_ROLL_OUTS", "2"))
ONE, TWO = "first-key-of-acme", "second-key-of-acme"


def names(pool: Pool) -> set[str]:
    """The gateway's pods that serve."""
    return {pod["metadata"]["name"] for pod in pool.gateways() if serves(pod)}


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_gateway_pod_that_is_told_to_go_under_load_loses_no_request(
    given: Given, when: When, then: Then, replicas: int
) -> None:
    pool = given.a_pool("chat", gateway={"replicas": replicas})
    load = given.load_on(pool, rate=10)
    before = names(pool)
    assert len(before) == replicas
    for name in sorted(before):
        when.kubectl("delete", "pod", name, "--wait=false")
        eventually("another one takes its place", partial(_replaced, pool, name, replicas), within=180)
        then.is_ready(pool)
    load.goes_on_for(30)
    then.no_request_failed(load, at_least=100)


def _replaced(pool: Pool, name: str, replicas: int) -> None:
    now = names(pool)
    assert name not in now, f"{name} is there"
    assert len(now) == replicas, f"there are {now}"


def test_a_gateway_pod_that_dies_costs_what_it_had_open_and_nothing_after(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", gateway={"replicas": 2})
    client = given.a_client()
    victim = min(names(pool))
    when.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    eventually("another one takes its place", lambda: _replaced(pool, victim, 2), within=180)
    then.is_ready(pool)
    load = given.load_on(pool, rate=10)
    load.goes_on_for(50)
    then.no_request_failed(load, at_least=50)
    assert client.ask(pool).status == 200


@pytest.mark.timeout(STORY_SECONDS + PATIENCE * 120 * ROLL_OUTS)
def test_a_roll_out_of_the_gateway_under_load_loses_no_request(given: Given, when: When, then: Then) -> None:
    """Twice; in `make soak` twenty times and 10,000 requests (SLICEWISE_GATEWAY_ROLL_OUTS)."""
    pool = given.a_pool("chat", gateway={"replicas": 2}, rollout={"canary": {"p95": "2s"}})
    load = given.load_on(pool, rate=10 if ROLL_OUTS < 10 else 25)
    for number in range(1, ROLL_OUTS + 1):
        before = names(pool)
        when.edited(pool, rollout={"canary": {"p95": f"{2000 + number}ms"}})
        eventually("every pod is another", partial(_others, pool, before), within=150)
        then.is_ready(pool, within=150)
    load.goes_on_for(50)
    then.no_request_failed(load, at_least=(100 if ROLL_OUTS < 10 else 500) * ROLL_OUTS, within=600)


def _others(pool: Pool, before: set[str]) -> None:
    now = names(pool)
    assert len(now) == 2, f"there are {now}"
    assert not now & before, f"{now & before} serve on"


def test_keys_are_asked_for_told_when_they_are_missing_and_changed_without_a_refused_request(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat")
    client = given.a_client()
    assert client.ask(pool).status == 200
    when.edited(pool, gateway={"tenantKeysSecretRef": {"name": "keys"}})
    told = then.says(pool, "GatewayProgrammed", "False", "SecretMissing", within=90)
    assert "'keys' (spec.gateway.tenantKeysSecretRef)" in told["message"]
    then.says(pool, "Ready", "False", "GatewayNotProgrammed")

    keys(story, ONE)
    then.is_ready(pool, within=200)  # the kubelet brings the Secret to the gateway, and the gateway tells
    eventually("the first key holds", lambda: _answers(client, pool, ONE, 200), within=150)
    refused = client.ask(pool)
    assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert client.ask(pool, key="a-key-of-nobody").status == 401

    load = given.load_on(pool, key=ONE)
    keys(story, f"{ONE}\n{TWO}")
    eventually("the second key holds besides", lambda: _answers(client, pool, TWO, 200), within=150)
    then.no_request_failed(load)
    load.stop()
    keys(story, TWO)
    eventually("the first key holds no more", lambda: _answers(client, pool, ONE, 401), within=150)
    assert client.ask(pool, key=TWO).status == 200


def keys(story: Story, acme: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"acme": acme}}
    story.kubectl("apply", "-f", "-", stdin=json.dumps(secret))


def _answers(client: Client, pool: Pool, key: str, status: int) -> None:
    got = client.ask(pool, key=key)
    assert got.status == status, f"{got.status}: {got.body}"


def test_what_is_too_large_too_much_or_nowhere_is_answered_in_openai_s_shape_and_costs_no_worker(
    story: Story, given: Given, when: When, then: Then
) -> None:
    limits = {"maxBodyBytes": "2Ki", "perTenantRequestsPerMinute": 20}
    pool = given.a_pool("chat", gateway={"limits": limits})
    client = given.a_client()
    large = client.ask(pool, body=json.dumps({"x": "y" * 4096}))
    assert (large.status, large.error["code"]) == (413, "request_too_large")
    nowhere = client.ask(pool, "/metrics", method="GET")
    assert (nowhere.status, nowhere.error["code"]) == (404, "not_found")
    assert client.ask(pool, "/v1/models", method="GET").body["object"] == "list"
    good = client.ask(pool)
    assert good.status == 200
    assert good.headers["x-slicewise-revision"] == pool.status()["revisions"]["stable"]
    answers = client.ask_at_once(
        45, pool
    )  # at once, and more than two minutes' worth: a new minute may begin meanwhile
    busy = [answer for answer in answers if answer.status != 200]
    assert busy, "the limit does not hold"
    assert {(answer.status, answer.error["code"]) for answer in busy} == {(429, "rate_limit_exceeded")}
    assert busy[0].headers["retry-after"] == "5"


def test_a_pool_without_workers_answers_503_and_when_to_come_again(given: Given, when: When, then: Then) -> None:
    pool = given.a_pool("chat", replicas=1, zones=None)
    client = given.a_client()
    when.kubectl("scale", "ipool/chat", "--replicas=0")
    then.says(pool, "Ready", "True", "ScaledToZero", within=60)
    then.says(pool, "GatewayProgrammed", "True", "Programmed")
    eventually("no worker is left", lambda: _none(pool), within=60)
    answer = client.ask(pool)
    assert (answer.status, answer.error["code"]) == (503, "no_worker")
    assert int(answer.headers["retry-after"]) > 0


def _none(pool: Pool) -> None:
    assert not pool.pods(), "workers are there"
