"""Which requests mean something in which state, and what is said of the others."""

from __future__ import annotations

import pytest
import samples

from slicewise.pool.rollout.request import Action, Request, read_request
from slicewise_cli.commands.steer import ACTIONS
from slicewise_cli.view.request import Refusal, decide, request_patch

PHASES = ("Idle", "Placing", "Warming", "Analysing", "Promoting", "RollingBack", "RolledBack")
MEANT = {
    Action.PROMOTE: {"Placing", "Warming", "Analysing"},
    Action.ABORT: {"Placing", "Warming", "Analysing", "Promoting"},
    Action.RETRY: {"RolledBack"},
    Action.PAUSE: {"Placing", "Warming", "Analysing", "Promoting"},
    Action.RESUME: set(),
    Action.SKIP_STEP: {"Analysing"},
}


def test_each_action_of_the_operator_is_a_command() -> None:
    assert set(ACTIONS) == set(Action)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("action", Action)
def test_an_action_is_taken_only_where_it_can_mean_something(action: Action, phase: str) -> None:
    decided = decide(action, samples.rolling(phase))
    if phase in MEANT[action]:
        assert isinstance(decided, Request)
        assert read_request(decided.text()) == decided
        assert (decided.target, decided.started_at) == (samples.CANARY, samples.STARTED)
    else:
        assert isinstance(decided, Refusal)
        assert "pool chat" in decided.sentence


@pytest.mark.parametrize("phase", ["Placing", "Warming", "Analysing", "Promoting"])
def test_resume_ends_a_pause_that_was_asked_for(phase: str) -> None:
    assert isinstance(decide(Action.RESUME, samples.rolling(phase, paused=True)), Request)
    asked = {"slicewise.dev/rollout-request": f"pause:{samples.CANARY}:{samples.STARTED}"}
    not_seen_yet = samples.changed(samples.rolling(phase), annotations=asked)
    assert isinstance(decide(Action.RESUME, not_seen_yet), Request)


@pytest.mark.parametrize("action", [Action.PROMOTE, Action.RETRY, Action.ABORT])
def test_an_annotation_that_names_no_attempt_stands_in_nobodys_way(action: Action) -> None:
    phase = "RolledBack" if action is Action.RETRY else "Analysing"
    trouble = "the annotation slicewise.dev/rollout-request 'abort::' names no attempt and is ignored"
    pool = samples.rolling(phase, request=trouble)
    pool = samples.changed(pool, annotations={"slicewise.dev/rollout-request": "abort::"})
    decided = decide(action, pool)
    assert isinstance(decided, Request)
    annotations = request_patch(pool, decided)["metadata"]["annotations"]
    assert annotations == {"slicewise.dev/rollout-request": decided.text()}


@pytest.mark.parametrize("seen", [True, False])
def test_skip_step_does_not_end_a_pause_in_silence(seen: bool) -> None:
    asked = {"slicewise.dev/rollout-request": f"pause:{samples.CANARY}:{samples.STARTED}"}
    decided = decide(Action.SKIP_STEP, samples.changed(samples.rolling(paused=seen or None), annotations=asked))
    assert isinstance(decided, Refusal)
    assert (
        "the rollout is paused, and skip-step would end that. `kubectl slicewise resume chat` first" in decided.sentence
    )


def test_a_roll_back_that_is_paused_goes_on_by_resume() -> None:
    assert isinstance(decide(Action.RESUME, samples.rolling("RollingBack", paused=True)), Request)
    assert isinstance(decide(Action.RESUME, samples.rolling("RollingBack")), Refusal)


def test_a_roll_back_is_promoted_while_the_spec_asks_for_the_revision() -> None:
    pool = samples.rolling("RollingBack")
    assert isinstance(decide(Action.PROMOTE, pool), Refusal)
    pool["status"]["revisions"]["wanted"] = samples.CANARY
    assert isinstance(decide(Action.PROMOTE, pool), Request)
    assert isinstance(decide(Action.RETRY, pool), Refusal)


def test_a_roll_back_to_a_stable_revision_that_is_gone_is_tried_again() -> None:
    pool = samples.rolling("RollingBack")
    pool["status"]["conditions"].append(
        samples.condition("RolloutProgressing", "False", "StableGone", "no worker of the stable revision is ready")
    )
    assert isinstance(decide(Action.RETRY, pool), Request)


def test_a_pause_of_the_spec_is_ended_in_the_spec() -> None:
    pool = samples.rolling(paused=True)
    pool["spec"]["rollout"] = {"paused": True}
    decided = decide(Action.RESUME, pool)
    assert isinstance(decided, Refusal)
    assert "kubectl patch ipool chat -n team-a --type merge" in decided.sentence
    decided = decide(Action.RESUME, samples.changed(pool, annotations={"argocd.argoproj.io/tracking-id": "x"}))
    assert isinstance(decided, Refusal)
    assert "in Git: Argo CD" in decided.sentence
    assert isinstance(decide(Action.PAUSE, pool), Refusal)


def test_resume_of_a_canary_that_is_held_says_what_decides_it() -> None:
    decided = decide(Action.RESUME, samples.rolling(held=True))
    assert isinstance(decided, Refusal)
    assert "kubectl slicewise promote chat" in decided.sentence


def test_skip_step_names_the_step() -> None:
    decided = decide(Action.SKIP_STEP, samples.rolling(step=1))
    assert isinstance(decided, Request)
    assert decided.text() == f"skip-step:{samples.CANARY}:{samples.STARTED}:1"


def test_a_status_without_an_attempt_is_no_attempt() -> None:
    assert isinstance(decide(Action.ABORT, samples.rolling(startedAt=None)), Refusal)


def test_the_patch_meets_only_the_version_that_was_read() -> None:
    pool = samples.rolling()
    decided = decide(Action.ABORT, pool)
    assert isinstance(decided, Request)
    assert request_patch(pool, decided) == {
        "metadata": {
            "resourceVersion": "7",
            "annotations": {"slicewise.dev/rollout-request": f"abort:{samples.CANARY}:{samples.STARTED}"},
        }
    }
