"""Requests about a rollout: which ones can have an effect now, why others cannot, and the patch. Pure.

The operator's `slicewise.pool.rollout.request` defines a request. It names one attempt of a rollout, so it is safe to repeat and has no
effect after that attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.api.v1alpha1.status import RevisionsStatus
from slicewise.pool.rollout.request import Action, Request
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.gitops import brought_by
from slicewise_cli.view.rollout import Rollout, read_rollout, read_status


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request would have no effect, and what to do instead."""

    sentence: str


def present_request(pool: Mapping[str, Any]) -> str:
    """Return the value of the annotation; empty without one."""
    return str(((pool.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_REQUEST, ""))


def decide(action: Action, pool: Mapping[str, Any]) -> Request | Refusal:
    """Return the request to write, or why it would have no effect now."""
    rollout = read_rollout(read_status(pool))
    refused = _refused(action, pool, rollout)
    if refused:
        return Refusal(refused)
    if not rollout.target or not rollout.started_at:
        return Refusal(
            f"{_name(pool)}: status.rollout names no attempt. Check that the operator is as new as this command"
        )
    return Request(action, rollout.target, rollout.started_at, rollout.step if action is Action.SKIP_STEP else None)


def request_patch(pool: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return the merge patch that writes the annotation; it fails on any other version of the pool."""
    version = pool["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "annotations": {ANNOTATION_REQUEST: request.text()}}}


def words(request: Request) -> str:
    """Return the subject of a request as text."""
    step = f"step {request.step + 1} of " if request.step is not None else ""
    return f"{step}revision {request.target}, started {request.started_at}"


def _revisions(pool: Mapping[str, Any]) -> RevisionsStatus:
    return read_status(pool).revisions or RevisionsStatus()


def _name(pool: Mapping[str, Any]) -> str:
    return f"pool {pool['metadata']['name']}"


def _refused(action: Action, pool: Mapping[str, Any], rollout: Rollout) -> str:
    name = pool["metadata"]["name"]
    if rollout.phase is Phase.IDLE:
        return _nothing_under_way(pool, rollout)
    if rollout.phase is Phase.ROLLED_BACK:
        if action is Action.RETRY:
            return _held_by_spec(pool)
        return (
            f"{_name(pool)}: the rollout of revision {rollout.target} was rolled back"
            f"{f' ({rollout.abort_reason})' if rollout.abort_reason else ''}. `kubectl slicewise retry {name}` starts it again"
        )
    if rollout.phase is Phase.ROLLING_BACK:
        return _taken_back(action, pool, rollout)
    return _REFUSALS[action](pool, rollout)


def _taken_back(action: Action, pool: Mapping[str, Any], rollout: Rollout) -> str:
    """A rollback can be resumed and promoted; without a stable revision, only a retry or a promotion ends it."""
    wanted = _revisions(pool).wanted
    if action is Action.RESUME and _paused(pool, rollout):
        return _held_by_spec(pool)
    if action is Action.PROMOTE and wanted == rollout.target:
        return _held_by_spec(pool)
    if action is Action.RETRY and rollout.stable_gone:
        return _held_by_spec(pool)
    return f"{_name(pool)}: revision {rollout.target} is already being rolled back. Wait until that is done, then change the spec or retry"


def _nothing_under_way(pool: Mapping[str, Any], rollout: Rollout) -> str:
    stable = _revisions(pool).stable
    serves = f": revision {stable} serves" if stable else ""
    if _paused_by_spec(pool) and rollout.message.startswith("paused"):
        return f"{_name(pool)}: no rollout is under way{serves}, and spec.rollout.paused pauses the next one. {_unpause(pool)}"
    return (
        f"{_name(pool)}: no rollout is under way{serves}. A change of spec.model, spec.engine or spec.slice starts one"
    )


def _promote(pool: Mapping[str, Any], rollout: Rollout) -> str:
    if rollout.phase is Phase.PROMOTING:
        return f"{_name(pool)}: revision {rollout.target} is already being promoted"
    return _held_by_spec(pool)


def _retry(pool: Mapping[str, Any], rollout: Rollout) -> str:
    name = pool["metadata"]["name"]
    return (
        f"{_name(pool)}: revision {rollout.target} is {rollout.phase}; retry is for a rollout that was rolled back. "
        f"`kubectl slicewise abort {name}` rolls it back"
    )


def _pause(pool: Mapping[str, Any], _rollout: Rollout) -> str:
    if _paused_by_spec(pool):
        return f"{_name(pool)}: the rollout is already paused by spec.rollout.paused"
    return ""


def _resume(pool: Mapping[str, Any], rollout: Rollout) -> str:
    name = pool["metadata"]["name"]
    if _paused_by_spec(pool):
        return _held_by_spec(pool)
    if _paused(pool, rollout):
        return ""
    if rollout.held:
        return (
            f"{_name(pool)}: the rollout is not paused; it is undecided at its deadline. "
            f"`kubectl slicewise promote {name}` or `kubectl slicewise abort {name}` decides it"
        )
    return f"{_name(pool)}: the rollout of revision {rollout.target} is not paused"


def _skip_step(pool: Mapping[str, Any], rollout: Rollout) -> str:
    if rollout.phase is not Phase.ANALYSING or rollout.step is None:
        when = "its steps are over" if rollout.phase is Phase.PROMOTING else "no step is judged yet"
        return f"{_name(pool)}: revision {rollout.target} is {rollout.phase}, {when}; skip-step is for a step that is being judged"
    held = _held_by_spec(pool)
    if not held and _paused(pool, rollout):
        # A request replaces the one before it.
        name = pool["metadata"]["name"]
        return f"{_name(pool)}: the rollout is paused, and skip-step would end that. `kubectl slicewise resume {name}` first"
    return held


_REFUSALS: Final[Mapping[Action, Callable[[Mapping[str, Any], Rollout], str]]] = {
    Action.PROMOTE: _promote,
    Action.ABORT: lambda _pool, _rollout: "",
    Action.RETRY: _retry,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.SKIP_STEP: _skip_step,
}


def _paused(pool: Mapping[str, Any], rollout: Rollout) -> bool:
    """Whether the rollout is paused, or will be by a request that the operator has not read yet."""
    return rollout.paused or present_request(pool).startswith(f"{Action.PAUSE}:{rollout.target}:")


def _paused_by_spec(pool: Mapping[str, Any]) -> bool:
    return bool(((pool.get("spec") or {}).get("rollout") or {}).get("paused"))


def _held_by_spec(pool: Mapping[str, Any]) -> str:
    """Return why a request has no effect while the spec pauses rollouts (only abort has one)."""
    if not _paused_by_spec(pool):
        return ""
    return f"{_name(pool)}: spec.rollout.paused pauses the rollout, and only abort overrides it. {_unpause(pool)}"


def _unpause(pool: Mapping[str, Any]) -> str:
    tool = brought_by(pool)
    if tool:
        return f"Set it to false in Git: {tool} manages the spec from there"
    metadata = pool["metadata"]
    patch = '{"spec":{"rollout":{"paused":false}}}'
    return f"kubectl patch ipool {metadata['name']} -n {metadata['namespace']} --type merge -p '{patch}'"
