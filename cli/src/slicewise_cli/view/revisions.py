"""The kept revisions of a pool, and the patch that goes back to one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicewise.api.labels import LABEL_REVISION
from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.api.v1alpha1.status import RevisionsStatus
from slicewise.pool.revision import revision_inputs
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.lines import Line, Table, line, table
from slicewise_cli.view.request import Refusal
from slicewise_cli.view.rollout import read_rollout, read_status
from slicewise_cli.view.words import since

_FIELDS = ("model", "engine", "slice", "worker")
"""The parts of the spec that make a revision."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept revision."""

    number: int
    hash: str
    role: str
    """`stable`, `canary`, `given up`, or empty."""
    created_at: str
    source: str
    digest: str
    slice: str
    inputs: Mapping[str, Any]
    """`model`, `engine`, `slice` and `worker` of the spec, unchanged."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that `undo` changes; None: not set."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Undo:
    """The change that goes back to a kept revision."""

    to: Kept
    changes: tuple[Change, ...]
    patch: Mapping[str, Any]
    """Merge patch; it fails on any other version of the pool."""


def read_history(pool: Mapping[str, Any], revisions: Iterable[Mapping[str, Any]]) -> tuple[Kept, ...]:
    """Return the kept revisions of a pool, oldest first. `revisions`: its ControllerRevisions."""
    return tuple(sorted((_kept(pool, item) for item in revisions), key=lambda item: item.number))


def _kept(pool: Mapping[str, Any], item: Mapping[str, Any]) -> Kept:
    name = (item["metadata"].get("labels") or {}).get(LABEL_REVISION, "")
    inputs = (item.get("data") or {}).get("inputs") or {}
    model, wanted = inputs.get("model") or {}, inputs.get("slice") or {}
    return Kept(
        number=int(item.get("revision") or 0),
        hash=name,
        role=_role(pool, name),
        created_at=item["metadata"].get("creationTimestamp") or "",
        source=model.get("source") or "",
        digest=model.get("digest") or next(iter(model.get("digests") or ()), ""),
        slice=(item.get("data") or {}).get("resource") or ("cpu" if wanted.get("cpu") else ""),
        inputs=inputs,
    )


def _role(pool: Mapping[str, Any], revision: str) -> str:
    status = read_status(pool)
    named, rollout = status.revisions or RevisionsStatus(), read_rollout(status)
    if revision == named.stable:
        return "stable"
    if revision == named.canary:
        return "canary"
    return "given up" if rollout.phase is Phase.ROLLED_BACK and revision == rollout.target else ""


def plan_undo(pool: Mapping[str, Any], history: tuple[Kept, ...], to: int | None) -> Undo | Refusal:
    """Return the change that goes back to revision number `to`.

    Default: the stable revision during a rollout or after a rollback, else the newest other revision.
    """
    name = pool["metadata"]["name"]
    target = _choose(pool, history, to)
    if isinstance(target, Refusal):
        return target
    if not target.inputs.get("model"):
        return Refusal(f"pool {name}: revision {target.number} has no spec to go back to (data.inputs is empty)")
    parsed = parse_pool(pool, stored=True)
    if not isinstance(parsed, InferencePool):
        return Refusal(f"pool {name}: its spec is invalid: {'; '.join(parsed)}. Correct it in the pool")
    present = revision_inputs(parsed.spec)
    changes = tuple(_differences(present, target.inputs, "spec"))
    if not changes:
        return Refusal(f"pool {name}: the spec already asks for revision {target.number} ({target.hash})")
    # An absent part counts as empty: labels and annotations of spec.worker are part of no revision and stay.
    spec = {key: _patch(present.get(key, {}), target.inputs.get(key, {})) for key in _FIELDS}
    patch = {
        "metadata": {"resourceVersion": pool["metadata"]["resourceVersion"]},
        "spec": {key: value for key, value in spec.items() if value != {}},
    }
    return Undo(target, changes, patch)


def _choose(pool: Mapping[str, Any], history: tuple[Kept, ...], to: int | None) -> Kept | Refusal:
    name = pool["metadata"]["name"]
    numbers = ", ".join(str(item.number) for item in history) or "none"
    if to is not None:
        found = next((item for item in history if item.number == to), None)
        return found or Refusal(
            f"pool {name}: --to-revision {to} is not kept; there are: {numbers} "
            "(spec.rollout.revisionHistoryLimit is how many are kept)"
        )
    stable = next((item for item in history if item.role == "stable"), None)
    if stable is not None and read_rollout(read_status(pool)).phase is not Phase.IDLE:
        return stable
    others = [item for item in history if item.role != "stable"]
    return (
        others[-1] if others else Refusal(f"pool {name}: no other revision is kept to go back to; there are: {numbers}")
    )


def _differences(before: Any, after: Any, path: str) -> list[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted({*before, *after})
        return [change for key in keys for change in _differences(before.get(key), after.get(key), f"{path}.{key}")]
    return [] if before == after else [Change(path, before, after)]


def _patch(before: Any, after: Any) -> Any:
    """Return the JSON merge patch from one value to another; empty if they are equal."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return {} if before == after else after
    changed = {key: _patch(before.get(key), value) for key, value in after.items() if before.get(key) != value}
    return {**changed, **{key: None for key in before if key not in after}}


def history_table(history: Sequence[Kept], now: float) -> Table:
    """Return one row for each revision, oldest first."""
    return table(
        ("NUMBER", "REVISION", "ROLE", "AGE", "SLICE", "DIGEST", "SOURCE"),
        [
            (
                str(item.number),
                item.hash,
                item.role or "-",
                since(item.created_at, now),
                item.slice or "-",
                item.digest.removeprefix("sha256:")[:12] or "-",
                item.source,
            )
            for item in history
        ],
    )


def undo_lines(undo: Undo) -> list[Line]:
    """Return each field that changes."""
    return [line(f"  {change.path}: {_value(change.before)} → {_value(change.after)}") for change in undo.changes]


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)
