"""`agent.json` is read whole or refused with the place that is wrong: the operator that wrote it may be older or newer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slicewise_gateway.agent.plan import AgentPlan, Backend, ClusterPlan, Edge, PlanError, parse_plan

BACKEND = {"service": "chat", "port": "http", "priority": 1}
WHOLE: dict[str, Any] = {
    "version": "v1",
    "clusters": {"rev-a": {"revision": "a", "backends": [BACKEND]}},
    "edge": {"address": "127.0.0.1", "port": 8081},
    "keysSecret": "keys",
}


def test_everything_that_is_said_is_read_and_what_is_unknown_is_left_alone() -> None:
    newer = json.dumps({**WHOLE, "later": {"x": 1}, "edge": {**WHOLE["edge"], "later": True}})
    clusters = {"rev-a": ClusterPlan("a", (Backend("chat", "http", 1),))}
    assert parse_plan(newer) == AgentPlan("v1", clusters, Edge("127.0.0.1", 8081), "keys")
    assert parse_plan('{"version": "v1"}') == AgentPlan("v1", {}, None, None)
    assert parse_plan('{"version": "v1", "edge": null, "keysSecret": null}') == AgentPlan("v1", {}, None, None)


def of_cluster(**fields: Any) -> dict[str, Any]:
    return {"version": "v", "clusters": {"rev-a": {"revision": "a", **fields}}}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "the file: not an object"),
        ({}, "version: missing"),
        ({"version": 1}, "version: not a string"),
        ({"version": "v", "clusters": []}, "clusters: not an object"),
        ({"version": "v", "clusters": {"../x": {"revision": "a"}}}, "clusters: '../x' is no name of a cluster"),
        ({"version": "v", "clusters": {"a\n": {"revision": "a"}}}, "clusters: 'a\\n' is no name of a cluster"),
        ({"version": "v", "clusters": {"a" * 81: {}}}, f"clusters: '{'a' * 80}' is no name of a cluster"),
        ({"version": "v", "clusters": {"rev-a": {}}}, "clusters.rev-a.revision: missing"),
        (of_cluster(backends={}), "clusters.rev-a.backends: not a list"),
        (of_cluster(backends=["chat"]), "clusters.rev-a.backends.0: not an object"),
        (of_cluster(backends=[{"service": "chat"}]), "clusters.rev-a.backends.0.port: missing"),
        (
            of_cluster(backends=[{**BACKEND, "priority": 33}]),
            "clusters.rev-a.backends.0.priority: 33 is not from 0 to 32",
        ),
        ({"version": "v", "edge": {"address": "::1", "port": "1"}}, "edge.port: not a whole number"),
        ({"version": "v", "edge": {"address": "::1", "port": True}}, "edge.port: not a whole number"),
        ({"version": "v", "edge": {"address": "::1", "port": 0}}, "edge.port: 0 is not from 1 to 65535"),
        ({"version": "v", "keysSecret": 1}, "keysSecret: not a string"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_place(value: Any, sentence: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse_plan(json.dumps(value))
    assert str(raised.value) == sentence


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"^not JSON: "):
        parse_plan(text)
