"""What the schema takes as a source of weights is what `slicewise-fetch` can read, and the other way round."""

from __future__ import annotations

import pytest
from builders import make_pool, pool_object
from pool_cases import CASES

from slicewise.api.v1alpha1 import parse_pool
from slicewise_worker.weights.errors import FetchError
from slicewise_worker.weights.source import is_pinned, parse_source

GOOD = sorted({case.good["model"]["source"] for case in CASES if "source" in case.good.get("model", {})})
BAD = sorted(
    # One part of a split model could be fetched; it is what cannot be served.
    {case.bad["model"]["source"] for case in CASES if case.field == "spec.model.source" and "split" not in case.rule}
)


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


def test_plain_http_is_left_to_the_installation() -> None:
    model = {**pool_object()["spec"]["model"], "source": "http://models.models.svc/b.gguf"}
    source = make_pool(model=model).spec.model.source
    parse_source(source, allow_private=True)
    with pytest.raises(FetchError):
        parse_source(source, allow_private=False)
