"""Strangers: pods that carry the labels of a pool's workers and that no Deployment of ours made.

A person or a tool may make one (a copy of a worker for debugging, a worker that was orphaned), and so may whoever wants to do harm. The
disruption controller counts by labels, so a zone's budget counts them. They are kept for one purpose: to know how many of what a
budget counts are none of ours (`pool/holding.py`). They count for no floor, hold no place, are never deleted, and wake no pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api import labels
from slicewise.objects.pods import is_ready, shared

MOST_STRANGERS: Final = 64
"""How many are kept of one pool. Whoever makes more has each scale-down of that pool wait for `HOLD_SECONDS`, and takes no more memory."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A ready one, as the API server has it: the disruption controller counts it while it says so, wherever its node is."""

    version: int
    zone: str
    """Zone whose budget counts it."""


def read_stranger(body: Mapping[str, Any], pool: str, version: int) -> Stranger | None:
    """Return the record of a pod that is no worker of `pool`; None unless a budget of the pool counts it as ready."""
    metadata = body["metadata"]
    marks: Mapping[str, str] = metadata.get("labels") or {}
    zone = marks.get(labels.LABEL_ZONE)
    if zone is None or labels.budget_selector(pool, zone).items() - marks.items():
        return None
    if "deletionTimestamp" in metadata or not is_ready(body.get("status") or {}):
        return None
    return Stranger(version, shared(zone))


def keep_stranger(known: MutableMapping[str, Stranger], uid: str, stranger: Stranger | None) -> None:
    """Take in what an event says of a pod. `known`: uid → stranger; `stranger` None: no budget counts it, or it is a worker."""
    if stranger is None:
        known.pop(uid, None)
    elif uid in known or len(known) < MOST_STRANGERS:
        known[uid] = stranger


def by_zone(known: Mapping[str, Stranger]) -> Counter[str]:
    """Return zone → ready strangers."""
    return Counter(stranger.zone for stranger in known.values())
