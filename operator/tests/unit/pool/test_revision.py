"""What makes a revision, across versions of the operator."""

from __future__ import annotations

import pytest
from builders import make_pool

from slicewise.pool.revision import revision_hash, revision_inputs


def of(**model: object) -> str:
    given = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True)
    return revision_hash(revision_inputs(make_pool(model=given | model).spec))


def test_a_new_version_of_the_operator_finds_the_revision_of_a_pool_of_the_first() -> None:
    assert of() == "87b0efaa"


@pytest.mark.parametrize("same", [{"chat": True}, {"aliases": []}])
def test_a_field_that_says_what_was_so_before_it_makes_no_revision(same: dict[str, object]) -> None:
    assert of(**same) == of()


@pytest.mark.parametrize("other", [{"chat": False}, {"aliases": ["old"]}, {"name": "new"}])
def test_another_name_another_alias_and_another_chat_make_one(other: dict[str, object]) -> None:
    assert of(**other) != of()
