"""What makes a revision, across versions of the operator."""

from __future__ import annotations

import pytest
from builders import DIGEST, make_pool

from slicewise.pool.revision import revision_hash, revision_inputs

LAW = {"name": "law", "source": "https://models.example.com/law.gguf", "digest": DIGEST}


def of(**model: object) -> str:
    given = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True)
    return revision_hash(revision_inputs(make_pool(model=given | model).spec))


def test_a_new_version_of_the_operator_finds_the_revision_of_a_pool_of_the_first() -> None:
    assert of() == "87b0efaa"


@pytest.mark.parametrize("same", [{"chat": True}, {"aliases": []}, {"adapters": []}])
def test_a_field_that_says_what_was_so_before_it_makes_no_revision(same: dict[str, object]) -> None:
    assert of(**same) == of()


@pytest.mark.parametrize(
    "other",
    [{"chat": False}, {"aliases": ["old"]}, {"name": "new"}, {"adapters": [LAW]}, {"chatTemplate": "{{ messages }}"}],
)
def test_another_name_alias_chat_template_or_adapter_makes_one(other: dict[str, object]) -> None:
    assert of(**other) != of()


USUAL = {"memoryPressure": "80%", "memoryPressureFor": "3s", "watchdogPeriod": "5s", "stallAfter": "30s"}


def with_health(**health: str) -> str:
    return revision_hash(revision_inputs(make_pool(health=health).spec))


@pytest.mark.parametrize("same", [{}, USUAL, {"stallAfter": "30s"}])
def test_what_workers_do_anyway_about_their_health_makes_no_revision(same: dict[str, str]) -> None:
    assert with_health(**same) == of()


@pytest.mark.parametrize("field", USUAL)
def test_each_field_of_health_makes_one(field: str) -> None:
    assert with_health(**{field: "90%" if field == "memoryPressure" else "7s"}) != of()
