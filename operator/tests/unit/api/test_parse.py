"""`parse_pool` takes and refuses what the API server does, with the same words.

The tables are those of `tests/apiserver/test_rules.py`, so the two agree on every rule and bound or one of the tests fails.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from adapter_cases import ADAPTER_CASES
from bound_cases import FULL, BoundCase, bound_cases
from builders import make_pool, pool_object
from cors_cases import CORS_CASES
from cost_cases import COST_CASES
from jobs_cases import JOBS_CASES
from pool_cases import CASES as POOL_CASES
from pool_cases import Case
from split_cases import SPLIT_CASES
from template_cases import TEMPLATE_CASES
from tenant_cases import TENANT_CASES
from worker_cases import SHAPE_CASES

from slicewise.api.rules import VALIDATIONS
from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1 import AccessMode, InferencePool, PoolSpec, parse_pool

CASES = (
    *POOL_CASES,
    *ADAPTER_CASES,
    *SPLIT_CASES,
    *COST_CASES,
    *TEMPLATE_CASES,
    *CORS_CASES,
    *JOBS_CASES,
    *TENANT_CASES,
    *SHAPE_CASES,
)
BOUNDS = tuple(bound_cases(structural_schema(PoolSpec)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_spec_that_keeps_the_rule_is_parsed(case: Case) -> None:
    assert isinstance(parse_pool(pool_object(**case.good)), InferencePool)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_spec_that_breaks_the_rule_gives_the_words_of_the_api_server(case: Case) -> None:
    assert parse_pool(pool_object(**case.bad)) == [f"{case.field}: {case.says}"]


@pytest.mark.parametrize("case", BOUNDS, ids=lambda case: case.rule)
def test_a_bound_is_kept(case: BoundCase) -> None:
    refused = parse_pool(pool_object() | {"spec": case.beyond})
    assert isinstance(refused, list)
    assert any(message.startswith(f"{case.field}: {case.parser_says}") for message in refused), refused
    if case.inside is not None:
        assert isinstance(parse_pool(pool_object() | {"spec": case.inside}), InferencePool)


def test_every_field_of_the_schema_is_in_a_tested_spec() -> None:
    # given: every path of the schema, and every path that the full specs write
    declared = set(_paths(structural_schema(PoolSpec)))
    maps = {path for path, node in _nodes(structural_schema(PoolSpec)) if "additionalProperties" in node}
    written = {path for spec in FULL for path in _written(spec) if path.rpartition(".")[0] not in maps}
    # then: bounds and acceptance are tested for each field there is
    assert declared == written | {"model", "slice"} | {"model.source"}


def _paths(schema: dict[str, Any]) -> list[str]:
    return [path for path, _ in _nodes(schema)]


def _nodes(schema: dict[str, Any], prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, child in schema.get("properties", {}).items():
        found += [(prefix + name, child), *_nodes(child.get("items", child), f"{prefix}{name}.")]
    return found


def _written(value: Any, prefix: str = "") -> list[str]:
    if isinstance(value, list):
        return [path for item in value for path in _written(item, prefix)]
    if not isinstance(value, dict):
        return []
    return [path for name, child in value.items() for path in (prefix + name, *_written(child, f"{prefix}{name}."))]


def test_every_rule_of_the_schema_has_a_case() -> None:
    broken = {re.sub(r"\[[0-9]+\]", "", case.field) for case in CASES}
    assert [path for path in _ruled(structural_schema(PoolSpec), "spec") if path not in broken] == []


def _ruled(schema: dict[str, Any], path: str) -> list[str]:
    """The paths that rules are about; rules on a change are proved one by one in `tests/apiserver/test_rules.py`."""
    rules = [rule for rule in schema.get(VALIDATIONS, ()) if "oldSelf" not in rule["rule"]]
    found = [path + rule.get("fieldPath", "") for rule in rules]
    for name, child in schema.get("properties", {}).items():
        found += _ruled(child, f"{path}.{name}")
    return found + (_ruled(schema["items"], path) if "items" in schema else [])


def test_an_item_that_is_there_twice_is_named() -> None:
    refused = parse_pool(pool_object(zones={"names": ["a", "b", "a"]}))
    assert refused == ["spec.zones.names: 'a' is there twice: write it once"]
    mount = {"name": "v", "mountPath": "/etc/pool/ca"}
    refused = parse_pool(
        pool_object(worker={"volumeMounts": [mount, mount], "volumes": [{"name": "v", "secret": {"secretName": "ca"}}]})
    )
    assert refused == ["spec.worker.volumeMounts: mountPath '/etc/pool/ca' is there twice: write it once"]


@pytest.mark.parametrize("name", ["2chat", "chat.small", "a" * 41, "chat\n"])
def test_a_name_from_which_no_service_can_be_named_is_refused(name: str) -> None:
    says = "is not a pool's name: write at most 40 small letters, digits and '-', beginning with a letter, such as chat"
    assert parse_pool(pool_object(name)) == [f"metadata.name '{name}' {says}"]


def test_every_mistake_is_reported() -> None:
    refused = parse_pool(pool_object(slice={}, replicas=-1, engine={"contextTokens": 64, "promptChunkTokens": 65}))
    assert isinstance(refused, list)
    assert [message.split(":")[0] for message in refused] == [
        "spec.engine.promptChunkTokens",
        "spec.slice",
        "spec.replicas",
    ]


@pytest.mark.parametrize("obj", [{}, {"metadata": None, "spec": None}, {"metadata": {"name": 3}, "spec": []}])
def test_an_object_of_another_shape_gives_messages_and_no_surprise(obj: dict[str, Any]) -> None:
    refused = parse_pool(obj)
    assert isinstance(refused, list)
    assert refused


def test_fields_that_this_version_does_not_know_are_ignored() -> None:
    assert isinstance(parse_pool(pool_object(later={"field": 1}, engine={"later": 1})), InferencePool)


def test_what_is_not_written_has_its_default() -> None:
    spec = make_pool().spec
    assert (spec.engine.context_tokens, spec.engine.parallel_sequences, spec.engine.max_queue) == (4096, 4, 64)
    assert spec.replicas is None
    assert spec.zones.min_available is None
    assert spec.cache.empty_dir is not None
    assert spec.cache.empty_dir.size_limit is None
    assert spec.rollout.canary is None
    assert (spec.autoscaling, spec.health, spec.fallback, spec.gateway) == (None, None, None, None)


def test_a_claim_template_is_shared_unless_it_says_otherwise() -> None:
    pool = make_pool(cache={"persistentVolumeClaim": {"template": {"size": "20Gi"}}})
    claim = pool.spec.cache.persistent_volume_claim
    assert claim is not None
    assert claim.template is not None
    assert claim.template.access_modes == (AccessMode.READ_WRITE_MANY,)


def test_a_quantity_without_quotation_marks_reads_as_with_them() -> None:
    bare = make_pool(slice={"cpu": {"cores": 2, "memory": 2147483648}})
    quoted = make_pool(slice={"cpu": {"cores": "2", "memory": "2147483648"}})
    assert bare == quoted


def test_the_model_is_named_after_the_pool_unless_it_says_otherwise() -> None:
    model = pool_object()["spec"]["model"]
    assert make_pool("chat").model_name == "chat"
    assert make_pool("chat", model={**model, "name": "small"}).model_name == "small"


def test_a_quantity_with_a_decimal_point_needs_quotation_marks() -> None:
    refused = parse_pool(pool_object(slice={"cpu": {"cores": 1.5, "memory": "2Gi"}}))
    assert refused == ["spec.slice.cpu.cores: 1.5 is not a text: put it in quotation marks"]
