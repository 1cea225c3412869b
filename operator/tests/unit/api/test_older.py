"""Objects that an earlier version let in go on being served: what breaks a newer rule is taken from the store, with a remark."""

from __future__ import annotations

from typing import Any

import pytest
from builders import DIGEST, MIG, make_observed, pool_object

from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.pool.gateway import desired_gateway
from slicewise.pool.plan import plan_pool

SOURCES = [
    "https://models.example.com/small.gguf?rate=100%&key=a",
    "pvc://models/small#1.gguf",
    "s3://models/what?.gguf",
    "hf://org/repo@main/100%.gguf",
    "https://models.example.com/small-00002-of-00002.gguf",
]


def stored(**spec: Any) -> InferencePool:
    parsed = parse_pool(pool_object(**spec), stored=True)
    assert isinstance(parsed, InferencePool), parsed
    return parsed


def accepted(pool: InferencePool) -> dict[str, Any]:
    plan = plan_pool(pool, make_observed(), 0.0)
    assert plan.children, "it is managed"
    return next(item for item in plan.status["conditions"] if item["type"] == "Accepted")


def test_a_body_above_the_maximum_is_served_up_to_the_maximum_and_said() -> None:
    pool = stored(gateway={"limits": {"maxBodyBytes": "64Mi"}})
    desired = desired_gateway(pool, make_observed(), {"aa24964c": 100}, has_workers=True)
    assert desired.model.max_body_bytes == 16 << 20
    found = accepted(pool)
    assert (found["status"], found["reason"]) == ("True", "AcceptedInPart")
    assert found["message"].startswith(
        "kept from an earlier version: spec.gateway.limits.maxBodyBytes: '64Mi' is not an amount of memory from 1Ki to 16Mi"
    )
    assert found["message"].endswith("until then 16Mi holds")
    assert isinstance(parse_pool(pool_object(gateway={"limits": {"maxBodyBytes": "64Mi"}})), list), (
        "nobody writes it anew"
    )


def test_a_volume_with_the_name_of_an_adapters_goes_on() -> None:
    volumes = [{"name": "adapter-source-0", "configMap": {"name": "ca"}}]
    found = accepted(stored(worker={"volumes": volumes}))
    assert (found["status"], found["reason"]) == ("True", "AcceptedInPart")
    assert found["message"].endswith("it works on while no adapter needs a volume of that name")


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_of_an_older_form_is_read_as_before_and_said(source: str) -> None:
    model = {"source": source, "digest": DIGEST}
    pool = stored(model=model)
    assert pool.spec.model.source == source
    assert "spec.model.source: " in accepted(pool)["message"]
    assert isinstance(parse_pool(pool_object(model=model)), list)


def test_a_split_model_with_one_digest_is_read_as_before_and_said() -> None:
    model = {"source": "https://models.example.com/small-00001-of-00002.gguf", "digest": DIGEST}
    assert "spec.model.digests: " in accepted(stored(model=model))["message"]
    assert isinstance(parse_pool(pool_object(model=model)), list)


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"source": "ftp://models.example.com/small.gguf", "digest": DIGEST}},
        {"model": {"source": "pvc://models/My Model.gguf", "digest": DIGEST}},
        {"gateway": {"limits": {"maxBodyBytes": "1"}}},
        {"gateway": {"limits": {"maxBodyBytes": "much"}}},
        {"slice": {"resource": MIG, "minMemory": "1Gi"}},
    ],
)
def test_what_no_version_let_in_is_refused_in_the_store_too(spec: dict[str, Any]) -> None:
    assert isinstance(parse_pool(pool_object(**spec), stored=True), list)


def test_a_pool_without_anything_old_has_no_remark() -> None:
    assert stored().remarks == ()
    assert accepted(stored())["reason"] == "Accepted"
