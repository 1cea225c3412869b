"""Requests about a rollout: what is one, what it is about, and what becomes of rubbish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.pool.rollout.request import Action, NotUnderstood, Request, read_request
from slicewise.pool.rollout.state import RolloutState

WHEN = "2026-11-21T14:30:05Z"


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.SKIP_STEP])
def test_a_request_names_action_target_and_start(action: Action) -> None:
    request = Request(action, "0123abcd", WHEN)
    assert request.text() == f"{action}:0123abcd:{WHEN}"
    assert read_request(request.text()) == request


def test_a_step_to_skip_comes_last() -> None:
    request = Request(Action.SKIP_STEP, "0123abcd", WHEN, 2)
    assert request.text() == f"skip-step:0123abcd:{WHEN}:2"
    assert read_request(f" {request.text()}\n") == request


def test_it_concerns_the_attempt_that_it_names_and_no_other() -> None:
    request = Request(Action.ABORT, "new", WHEN)
    state = RolloutState(target="new", started_at=1795271405.9)
    assert request.concerns(state)
    assert not request.concerns(RolloutState(target="newer", started_at=1795271405.0))
    assert not request.concerns(RolloutState(target="new", started_at=1795271406.0))
    assert not request.concerns(RolloutState(target="new"))


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_annotation_is_no_request(nothing: str | None) -> None:
    assert read_request(nothing) is None


@pytest.mark.parametrize(
    "rubbish",
    [
        "promote",
        "promote:",
        f"promote::{WHEN}",
        "promote:0123abcd",
        "promote:0123abcd:yesterday",
        f"promote:0123abcd:{WHEN}:0",
        f"Promote:0123abcd:{WHEN}",
        f"destroy:0123abcd:{WHEN}",
        f"skip-step:0123abcd:{WHEN}",
        f"skip-step:0123abcd:{WHEN}:-1",
        f"skip-step:0123abcd:{WHEN}:first",
        "x" * 10_000,
    ],
)
def test_rubbish_is_said_with_what_to_write(rubbish: str) -> None:
    found = read_request(rubbish)
    assert isinstance(found, NotUnderstood)
    assert rubbish[:20] in found.message
    assert "write <action>:<status.rollout.target>" in found.message
    assert len(found.message) < 500


@pytest.mark.parametrize("text", ["abort::", "retry::", "promote::", "skip-step:::", "skip-step:::0"])
def test_what_a_script_writes_while_nothing_is_under_way_is_said_to_name_no_attempt(text: str) -> None:
    found = read_request(text)
    assert isinstance(found, NotUnderstood)
    assert f"'{text}' names no attempt and is ignored: no rollout was under way" in found.message


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    found = read_request(text)
    assert found is None or isinstance(found, NotUnderstood) or found.text() == text.strip()
