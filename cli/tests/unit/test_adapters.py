"""Trouble with the file of an adapter is explained by the adapter's fields, and not by the model's."""

from __future__ import annotations

from typing import Any

import pytest
import samples

from slicewise.api.v1alpha1 import Reason
from slicewise_cli.view.explain import Surroundings, explain
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.remedies import MODEL, OF_A_FILE, OF_AN_ADAPTER, REMEDIES
from slicewise_worker.weights.errors import Reason as FetchReason

ADAPTERS = [{"name": name, **samples.model(letter)} for name, letter in (("team/a:1", "b"), ("law", "c"))]


def changes(reason: str, message: str) -> str:
    """Return what would change the pool, as `explain` says it of a condition."""
    pool: dict[str, Any] = samples.idle(model=samples.model("a") | {"adapters": ADAPTERS})
    pool["status"]["conditions"] = [samples.condition("WeightsCached", "False", reason, message)]
    (point,) = [
        point for point in explain(read_pool(pool, None), Surroundings()).points if "WeightsCached" in point.what
    ]
    return " ".join(point.changed_by)


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("SourceNotFound", "source"),
        ("DigestMismatch", "digest"),
        ("CredentialsRejected", "credentialsSecretRef"),
        ("Unsupported", "source"),
    ],
)
def test_the_entry_of_the_adapter_is_named(reason: str, field: str) -> None:
    first, second = (
        changes(reason, f"chat-a-x: adapter '{item['name']}': https://a.example/b: no") for item in ADAPTERS
    )
    assert f"spec.model.adapters[0].{field}" in first
    assert f"spec.model.adapters[1].{field}" in second
    assert "spec.model." not in first.replace("spec.model.adapters[0].", "")
    gone = changes(reason, "chat-a-x: adapter 'older': https://a.example/b: no")
    assert f"spec.model.adapters.{field}" in gone, "it is of a revision that serves, and no more in the spec"


def test_a_message_about_the_model_keeps_to_the_model() -> None:
    assert changes("SourceNotFound", "chat-a-x: https://a.example/adapter: no") == "the right path in spec.model.source"
    assert "adapters" not in changes("ModelTooLarge", "chat-a-x: adapter 'law': it needs 1121Mi")


def test_every_remedy_of_a_fetch_that_names_a_field_of_the_file_is_about_the_adapter_too() -> None:
    named = {reason for reason in map(Reason, FetchReason) if any(MODEL in text for text in REMEDIES.get(reason, ()))}
    assert named <= OF_A_FILE
    assert set(OF_AN_ADAPTER) <= OF_A_FILE
