"""The response cache: one question is computed once, for one tenant, and a Redis that goes costs no request."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial

from e2e.support.api import Api
from e2e.support.client import Answer, Client
from e2e.support.given import Given
from e2e.support.load import Load
from e2e.support.polling import eventually
from e2e.support.pool import Pool, serves
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.trial_redis import SECRET

CACHE = {"ttl": "10m", "redisSecretRef": {"name": SECRET}}
ACME, OTHER = "first-key-of-acme", "first-key-of-other"
EDGE, WORKER = 9093, 8080


def questions() -> Iterator[str]:
    """Bodies of requests that nobody has made before, each with one right answer."""
    for number in itertools.count():
        messages = [{"role": "user", "content": f"Tell me about slice {number}."}]
        yield json.dumps({"model": "chat", "max_tokens": 48, "temperature": 0, "messages": messages})


def outcome(answer: Answer) -> str:
    return answer.headers.get("x-slicewise-cache", "no cache")


def is_kept(client: Client, pool: Pool, new: Iterator[str], key: str = "") -> tuple[str, Answer, Answer]:
    """A new question is asked twice. A busy machine may be too slow for the cache, which then is left out: ask again with another."""
    body = next(new)
    first, again = (client.ask(pool, body=body, key=key) for _ in range(2))
    assert (first.status, again.status) == (200, 200), (first.body, again.body)
    assert (outcome(first), outcome(again)) == ("miss", "hit")
    return body, first, again


def test_the_same_question_is_answered_again_and_never_to_another_tenant(story: Story, given: Given) -> None:
    keys = [f"--from-literal={name}={key}" for name, key in (("acme", ACME), ("other", OTHER))]
    story.kubectl("create", "secret", "generic", "keys", *keys)
    given.a_redis()
    gateway = {"tenantKeysSecretRef": {"name": "keys"}, "responseCache": CACHE}
    pool = given.a_pool("chat", replicas=1, zones=None, gateway=gateway)
    client = given.a_client()
    ask_twice = partial(is_kept, client, pool, questions(), ACME)
    body, first, again = eventually("the second answer is the first one, kept", ask_twice, within=150)
    assert again.body == first.body
    assert again.headers["x-slicewise-revision"] == pool.status()["revisions"]["stable"]
    assert int(again.headers["age"]) >= 0
    stranger = client.ask(pool, body=body, key=OTHER)
    assert (stranger.status, outcome(stranger) == "hit") == (200, False), stranger.headers
    assert stranger.body["id"] != first.body["id"]
    assert client.ask(pool, body=body).status == 401, "who has no key is told nothing"


def test_fifty_who_ask_the_same_at_once_cost_a_worker_one_answer(story: Story, given: Given) -> None:
    given.a_redis()
    pool = given.a_pool("chat", replicas=1, zones=None, gateway={"responseCache": CACHE})
    client = given.a_client()
    new = questions()
    eventually("answers are kept", partial(is_kept, client, pool, new), within=150)

    def crowd() -> tuple[Counter[str], float]:
        before = answered_by_workers(story.api, pool)
        answers = client.ask_at_once(50, pool, next(new))
        assert Counter(answer.status for answer in answers) == {200: 50}
        outcomes = Counter(outcome(answer) for answer in answers)
        assert "bypass" not in outcomes, f"Redis was too slow for some: {outcomes}"
        assert len({answer.body["id"] for answer in answers}) == 1, "not all have the same answer"
        return outcomes, before

    outcomes, before = eventually("a crowd is answered", crowd, within=180)
    assert outcomes == {"miss": 1, "hit": 49}
    eventually("the worker has counted", lambda: _more(answered_by_workers(story.api, pool), before), within=30)
    assert answered_by_workers(story.api, pool) == before + 1


def test_a_redis_that_is_killed_under_load_fails_no_request_and_is_used_again_when_it_is_back(
    story: Story, given: Given, then: Then
) -> None:
    redis = given.a_redis()
    pool = given.a_pool("chat", replicas=1, zones=None, gateway={"responseCache": CACHE})
    load = given.load_on(pool, rate=3)
    from_now_on(load, "hit", within=120)
    before = edge(story.api, pool)
    redis.is_killed()
    from_now_on(load, "bypass", within=90)
    load.goes_on_for(15)
    eventually("the edge counts it", lambda: _counted(edge(story.api, pool), before), within=60)
    redis.returns()
    from_now_on(load, "hit", within=120)
    load.goes_on_for(10)
    then.no_request_failed(load, at_least=30)


def from_now_on(load: Load, word: str, within: float) -> None:
    """Wait for three more answers that say this about the cache."""

    def check() -> None:
        said = Counter(request.get("cache") for request in load.requests()[mark:])
        assert said[word] >= 3, f"since then: {said}"

    mark = len(load.requests())
    eventually(f"answers say {word}", check, within)


def _more(now: float, before: float) -> None:
    assert now > before, f"{now} answers"


def _counted(now: dict[str, float], before: dict[str, float]) -> None:
    more = Counter({name: now[name] - before[name] for name in now if now[name] > before[name]})
    assert more['slicewise_edge_answers_total{outcome="bypass"}'] >= 3, more
    assert any(name.startswith("slicewise_edge_redis_errors_total") for name in more), more


def edge(api: Api, pool: Pool) -> dict[str, float]:
    """What the edges of the pool's gateway pods have counted, together."""
    return counted(api, pool, [pod["metadata"]["name"] for pod in pool.gateways() if serves(pod)], EDGE)


def answered_by_workers(api: Api, pool: Pool) -> float:
    """How many sequences the pool's workers have ended."""
    found = counted(api, pool, [pod["metadata"]["name"] for pod in pool.workers()], WORKER)
    return sum(value for name, value in found.items() if name.startswith("slicewise_worker_requests_total"))


def counted(api: Api, pool: Pool, pods: list[str], port: int) -> dict[str, float]:
    """The metrics of these pods, added up: `name{labels}` → value."""
    total: defaultdict[str, float] = defaultdict(float)
    for name in pods:
        status, read = api.get_through("pods", f"{name}:{port}", pool.namespace, "metrics")
        assert status == 200, f"{name}: {status} {read}"
        for line in read["text"].splitlines():
            metric, _, value = line.rpartition(" ")
            if metric and not line.startswith("#"):
                total[metric] += float(value)
    return total
