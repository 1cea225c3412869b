"""What the schema takes as a source of weights is what `slicewise-fetch` can read, and the other way round."""

from __future__ import annotations

import json

import pytest
from builders import DIGEST, make_observed, make_pool, pool_object
from pool_cases import CASES

from slicewise.api.split import MOST_PARTS, parts_of
from slicewise.api.v1alpha1 import parse_pool
from slicewise.pool.plan import plan_pool
from slicewise_worker.engine.gguf_header import MOST_PARTS as MOST_OF_A_FETCH
from slicewise_worker.weights.errors import FetchError
from slicewise_worker.weights.settings import FetchSettings
from slicewise_worker.weights.source import is_pinned, parse_source
from slicewise_worker.weights.source import parts_of as fetched_parts_of

GOOD = sorted({case.good["model"]["source"] for case in CASES if "source" in case.good.get("model", {})})
BAD = sorted({case.bad["model"]["source"] for case in CASES if case.field == "spec.model.source"})


@pytest.mark.parametrize("source", GOOD)
def test_an_accepted_source_can_be_fetched(source: str) -> None:
    parse_source(source, allow_private=False)


@pytest.mark.parametrize("source", BAD)
def test_a_refused_source_could_not_be_fetched(source: str) -> None:
    with pytest.raises(FetchError):
        parse_source(source, allow_private=False)


@pytest.mark.parametrize("source", GOOD)
def test_a_digest_is_optional_exactly_where_the_source_can_never_name_other_bytes(source: str) -> None:
    without = parse_pool(pool_object(model={"source": source}))
    assert isinstance(without, list) is not is_pinned(parse_source(source, allow_private=False))


def test_the_parts_of_a_split_model_are_those_that_are_fetched() -> None:
    assert MOST_PARTS == MOST_OF_A_FETCH
    for name in (
        "a-00001-of-00002.gguf",
        "a-00001-of-00064.gguf?x=1",
        "a.gguf?x=-00001-of-00002.gguf",
        "a-00001-of-00002.gguf?x=b-00001-of-00003.gguf",
        "a-00001-of-00001.gguf",
        "a.gguf",
    ):
        source = f"https://models.example.com/{name}"
        assert parts_of(source) == fetched_parts_of(source)


def test_a_pool_hands_the_digests_of_all_parts_to_the_fetch_and_keeps_all_parts_in_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests = [DIGEST, DIGEST.replace("0", "1")]
    source = "s3://models/a-00001-of-00002.gguf"
    claim = {"persistentVolumeClaim": {"claimName": "weights"}}
    pool = make_pool(model={"source": source, "digests": digests}, cache=claim)
    children = plan_pool(pool, make_observed(), 0.0).children or ()
    pod = next(item for item in children if item["kind"] == "Deployment" and "zone" in str(item))["spec"]["template"][
        "spec"
    ]
    for item in pod["initContainers"][0]["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    settings = FetchSettings.read()
    assert (settings.source, settings.digest, settings.digests) == (source, None, tuple(digests))
    live = next(item for item in children if item["kind"] == "ConfigMap" and "live.json" in item["data"])
    kept = json.loads(live["data"]["live.json"])
    assert kept == [{"source": source, "digests": digests, "parts": ["s3://models/a-00002-of-00002.gguf"]}]


def test_plain_http_is_left_to_the_installation() -> None:
    model = {**pool_object()["spec"]["model"], "source": "http://models.models.svc/b.gguf"}
    source = make_pool(model=model).spec.model.source
    parse_source(source, allow_private=True)
    with pytest.raises(FetchError):
        parse_source(source, allow_private=False)
