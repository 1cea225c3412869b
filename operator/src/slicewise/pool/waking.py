"""Waking: how far a pool is that has no worker which serves. The gateway tells clients whose wait ended without one. Pure.

Called by `plan_pool`.

Clients read it, so it has a word, a number and a time, and none of the cluster's own messages, which name nodes and images.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from slicewise.pool.observed import ObservedPod

_STEP: Final = 10
"""Per cent between two values: each is a write."""


def describe_waking(pods: Collection[ObservedPod], cold_start: float | None) -> str:
    """Return the state as JSON; empty while a worker serves. `cold_start`: seconds, None where none was measured.

    `readyAt`, in seconds since the epoch, is there where a worker is on its way and a cold start was measured.
    """
    here = [pod for pod in pods if not pod.terminating]
    if any(pod.serving for pod in here):
        return ""
    placed = [pod for pod in here if pod.node is not None]
    if not placed:
        return _json("WaitingForSlice" if here else "NoWorker")
    coming = [pod for pod in placed if pod.waiting_reason is None and not pod.node_lost]
    if not coming:
        return _json("Failing")
    ready_at = None if cold_start is None else round(min(pod.created_at for pod in coming) + cold_start)
    shares = [_share(pod) for pod in coming]
    if all(share is not None for share in shares):
        known = [share for share in shares if share is not None and share >= 0]
        return _json("LoadingWeights", percent=max(known, default=None), readyAt=ready_at)
    return _json("Starting", readyAt=ready_at)


def _share(pod: ObservedPod) -> int | None:
    """Per cent of the weights that a worker has; -1 where their size is not known, None where it does not load any."""
    if pod.fetch is None or pod.fetch.done:
        return None
    if not pod.fetch.bytes_total:
        return -1
    return min(100, 100 * pod.fetch.bytes_done // pod.fetch.bytes_total // _STEP * _STEP)


def _json(state: str, **more: int | None) -> str:
    known = {name: value for name, value in more.items() if value is not None}
    return json.dumps({"state": state, **known}, separators=(",", ":"))
