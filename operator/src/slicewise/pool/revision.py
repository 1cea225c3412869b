"""Revisions: what makes one, how it is named, which are kept.

A revision is a function of `spec.model`, `spec.engine`, `spec.slice`, `spec.worker` and `spec.health` exactly as written, so going back
to an old spec gives back the old revision. Labels and annotations of workers are no part of it: they start none. The rendered pod
template is stored with it (ControllerRevision), so an operator of another version restarts no worker. Called by `plan_pool`; pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from slicewise.api.v1alpha1 import HealthSpec, PoolSpec
from slicewise.pool.observed import ObservedRevision

HASH_LENGTH = 8

_LATER: Final[tuple[tuple[str, str, object], ...]] = (
    ("model", "chat", True),
    ("model", "aliases", []),
    ("model", "adapters", []),
)
"""Fields that came after the first release, with the value that means what was before them. Left out, so that a new version of the
operator finds the revisions of the old one."""

_USUAL_HEALTH: Final[Mapping[str, str]] = HealthSpec().model_dump(mode="json", by_alias=True)


def revision_inputs(spec: PoolSpec) -> dict[str, Any]:
    """Return the part of the spec that a revision is made of, as plain JSON with unset fields dropped."""
    parts: Any = {"model": True, "engine": True, "slice": True, "worker": True, "health": True}
    dumped = spec.model_dump(mode="json", by_alias=True, exclude_none=True, include=parts)
    for part, field, value in _LATER:
        if dumped[part].get(field) == value:
            del dumped[part][field]
    worker = {key: value for key, value in dumped.pop("worker", {}).items() if key not in {"labels", "annotations"}}
    # What workers do anyway says nothing: the pools of earlier versions, which acted on nothing of it, keep their revisions.
    health = {key: value for key, value in dumped.pop("health", {}).items() if value != _USUAL_HEALTH[key]}
    optional = {"worker": worker, "health": health}
    return {
        **{key: dumped[key] for key in ("engine", "model", "slice")},
        **{key: value for key, value in optional.items() if value},
    }


def revision_hash(inputs: Mapping[str, Any]) -> str:
    """Return the name of a revision: the first 8 hexadecimal digits of the SHA-256 of its canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_LENGTH]


def find_revision(revisions: Iterable[ObservedRevision], wanted: str | None) -> ObservedRevision | None:
    """Return the stored revision of that hash, or None."""
    return next((revision for revision in revisions if revision.hash == wanted), None)


def next_number(revisions: Iterable[ObservedRevision]) -> int:
    """Return the number of the next new revision: one above the greatest stored."""
    return max((revision.number for revision in revisions), default=0) + 1


def kept_revisions(
    revisions: Iterable[ObservedRevision], live: Iterable[str], history_limit: int
) -> tuple[ObservedRevision, ...]:
    """Return the stored revisions to keep, oldest first.

    All that are live (stable, canary, or with workers still running) and the `history_limit` newest of the rest.
    """
    live_set = set(live)
    ordered = sorted(revisions, key=lambda revision: revision.number)
    rest = [revision for revision in ordered if revision.hash not in live_set]
    kept = {revision.hash for revision in rest[len(rest) - history_limit :]} if history_limit > 0 else set()
    return tuple(revision for revision in ordered if revision.hash in live_set or revision.hash in kept)
