"""Requests about a rollout: what can be asked of it now, what cannot mean anything, and the patch that asks. Pure.

What a request is, the operator's own `slicewise.pool.rollout.request` says: a statement about one attempt, so it is harmless to
repeat and stale by itself when that attempt is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.pool.rollout.request import Action, Request
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.gitops import brought_by
from slicewise_cli.view.rollout import Rollout, read_rollout


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request would mean nothing, and what to do instead."""

    sentence: str


def present_request(pool: Mapping[str, Any]) -> str:
    """Return the value of the annotation as it stands; empty where there is none."""
    return str(((pool.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_REQUEST, ""))


def decide(action: Action, pool: Mapping[str, Any]) -> Request | Refusal:
    """Return the request to write, or why it cannot mean anything now."""
    rollout = read_rollout(pool)
    refused = _refused(action, pool, rollout)
    if refused:
        return Refusal(refused)
    if not rollout.target or not rollout.started_at:
        return Refusal(f"{_name(pool)}: status.rollout names no attempt: is the operator older than this command?")
    return Request(action, rollout.target, rollout.started_at, rollout.step if action is Action.SKIP_STEP else None)


def request_patch(pool: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return the merge patch that writes the annotation, onto this very version of the pool only."""
    version = pool["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "annotations": {ANNOTATION_REQUEST: request.text()}}}


def words(request: Request) -> str:
    """Return what a request is about, in words."""
    step = f"step {request.step + 1} of " if request.step is not None else ""
    return f"{step}revision {request.target}, begun {request.started_at}"


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
            f"{_name(pool)}: the rollout of revision {rollout.target} is over, it was given up"
            f"{f' ({rollout.abort_reason})' if rollout.abort_reason else ''}. `kubectl slicewise retry {name}` tries it again"
        )
    if rollout.phase is Phase.ROLLING_BACK:
        return _taken_back(action, pool, rollout)
    return _REFUSALS[action](pool, rollout)


def _taken_back(action: Action, pool: Mapping[str, Any], rollout: Rollout) -> str:
    """A roll-back goes on after a pause, goes forward again by request, and where stable is gone that is all that ends it."""
    wanted = ((pool.get("status") or {}).get("revisions") or {}).get("wanted")
    if action is Action.RESUME and _paused(pool, rollout):
        return _held_by_spec(pool)
    if action is Action.PROMOTE and wanted == rollout.target:
        return _held_by_spec(pool)
    if action is Action.RETRY and rollout.stable_gone:
        return _held_by_spec(pool)
    return f"{_name(pool)}: revision {rollout.target} is being taken back already; wait for it, then change the spec or retry"


def _nothing_under_way(pool: Mapping[str, Any], rollout: Rollout) -> str:
    stable = ((pool.get("status") or {}).get("revisions") or {}).get("stable")
    serves = f": revision {stable} serves" if stable else ""
    if _paused_by_spec(pool) and rollout.message.startswith("paused"):
        return f"{_name(pool)}: no rollout is under way{serves}, and spec.rollout.paused holds the next one. {_unpause(pool)}"
    return (
        f"{_name(pool)}: no rollout is under way{serves}. A change of spec.model, spec.engine or spec.slice begins one"
    )


def _promote(pool: Mapping[str, Any], rollout: Rollout) -> str:
    if rollout.phase is Phase.PROMOTING:
        return f"{_name(pool)}: revision {rollout.target} is being promoted already"
    return _held_by_spec(pool)


def _retry(pool: Mapping[str, Any], rollout: Rollout) -> str:
    name = pool["metadata"]["name"]
    return (
        f"{_name(pool)}: revision {rollout.target} is under way ({rollout.phase}); retry is for one that was given up. "
        f"`kubectl slicewise abort {name}` gives it up"
    )


def _pause(pool: Mapping[str, Any], _rollout: Rollout) -> str:
    if _paused_by_spec(pool):
        return f"{_name(pool)}: the rollout is held already, by spec.rollout.paused"
    return ""


def _resume(pool: Mapping[str, Any], rollout: Rollout) -> str:
    name = pool["metadata"]["name"]
    if _paused_by_spec(pool):
        return _held_by_spec(pool)
    if _paused(pool, rollout):
        return ""
    if rollout.held:
        return (
            f"{_name(pool)}: the rollout is not paused, it is undecided at its deadline. "
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
    """Whether it is paused, also by a request that the operator has not seen yet."""
    return rollout.paused or present_request(pool).startswith(f"{Action.PAUSE}:{rollout.target}:")


def _paused_by_spec(pool: Mapping[str, Any]) -> bool:
    return bool(((pool.get("spec") or {}).get("rollout") or {}).get("paused"))


def _held_by_spec(pool: Mapping[str, Any]) -> str:
    """Only an abort acts on a rollout that the spec holds."""
    if not _paused_by_spec(pool):
        return ""
    return f"{_name(pool)}: spec.rollout.paused holds the rollout, and no request but abort overrules the spec. {_unpause(pool)}"


def _unpause(pool: Mapping[str, Any]) -> str:
    tool = brought_by(pool)
    if tool:
        return f"Set it to false in Git: {tool} brings the spec from there"
    metadata = pool["metadata"]
    patch = '{"spec":{"rollout":{"paused":false}}}'
    return f"kubectl patch ipool {metadata['name']} -n {metadata['namespace']} --type merge -p '{patch}'"
