"""The response cache of a pool's gateway, as Kubernetes objects and as Envoy's files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA
from slicewise.pool.observed import ObservedPool, ObservedRevision
from slicewise.pool.plan import plan_pool

Object = dict[str, Any]
CACHED: Object = {"gateway": {"responseCache": {"ttl": "30s", "redisSecretRef": {"name": "redis"}}}}


def children(observed: ObservedPool | None = None, **spec: Any) -> dict[tuple[str, str], Object]:
    plan = plan_pool(make_pool(**spec), observed or make_observed(), 0.0)
    return {(item["kind"], item["metadata"]["name"]): dict(item) for item in plan.children or ()}


def layer(found: dict[tuple[str, str], Object]) -> Object:
    files = found["ConfigMap", "chat-gateway"]["data"]
    return dict(json.loads(files["rtds.json"])["resources"][0]["layer"])


def test_only_the_edge_is_told_the_address_of_the_redis_and_the_operator_is_not() -> None:
    pod = children(**CACHED)["Deployment", "chat-gateway"]["spec"]["template"]["spec"]
    (volume,) = [item for item in pod["volumes"] if item["name"] == "redis"]
    assert volume["secret"]["secretName"] == "redis"
    assert volume["secret"]["optional"], "a gateway starts without it"
    mounted = [
        item["name"]
        for item in (*pod["initContainers"], *pod["containers"])
        if "redis" in [each["name"] for each in item["volumeMounts"]]
    ]
    assert mounted == ["edge"]
    without = children()["Deployment", "chat-gateway"]["spec"]["template"]["spec"]
    assert "redis" not in json.dumps(without)


def test_a_gateway_reaches_redis_where_it_has_one() -> None:
    def rules(found: dict[tuple[str, str], Object]) -> list[Object]:
        return [rule for rule in found["NetworkPolicy", "chat-gateway"]["spec"]["egress"] if "ports" not in rule]

    assert rules(children()) == []
    (rule,) = rules(children(**CACHED))
    assert rule["to"] == EVERYWHERE_BUT_METADATA


def test_nothing_is_kept_of_a_revision_until_it_is_stored_and_then_by_all_that_it_was_made_from() -> None:
    found = children(**CACHED)
    (made,) = [item for (kind, _), item in found.items() if kind == "ControllerRevision"]
    name, data = made["metadata"]["name"].removeprefix("chat-"), made["data"]
    other = {**data, "template": {**data["template"], "metadata": {"labels": {"engine": "newer"}}}}
    key = f"slicewise.answers.rev-{name}"
    seen = [layer(found)[key]] + [
        layer(children(make_observed(revisions=(ObservedRevision(f"chat-{name}", name, 1, each),)), **CACHED))[key]
        for each in (data, dict(reversed(data.items())), other)
    ]
    assert seen[0] == ""
    assert seen[1] == seen[2] != seen[3]
    assert len({*seen}) == 3


def test_how_long_answers_are_kept_changes_no_pod() -> None:
    longer: Object = {"gateway": {"responseCache": {"ttl": "5m", "redisSecretRef": {"name": "redis"}}}}
    before, after = children(**CACHED), children(**longer)
    assert (layer(before)["slicewise.cache.ttl_seconds"], layer(after)["slicewise.cache.ttl_seconds"]) == (30, 300)
    assert before["Deployment", "chat-gateway"] == after["Deployment", "chat-gateway"]


@pytest.mark.parametrize("none", [{"replicas": 0}, {"suspend": True}])
def test_a_pool_that_is_to_have_no_workers_answers_at_once_past_the_cache_and_keeps_its_pods(none: Object) -> None:
    before, after = children(**CACHED), children(**CACHED, **none)
    routes = [found["ConfigMap", "chat-gateway"]["data"]["rds.json"] for found in (before, after)]
    assert ['"cluster":"edge"' in each for each in routes] == [True, False]
    assert "slicewise.hold.seconds" not in layer(after)
    assert before["Deployment", "chat-gateway"] == after["Deployment", "chat-gateway"]


def test_a_pool_with_a_cache_is_acted_on() -> None:
    status = plan_pool(make_pool(**CACHED), make_observed(), 0.0).status
    (accepted,) = [item for item in status["conditions"] if item["type"] == "Accepted"]
    assert "responseCache" not in accepted["message"]
