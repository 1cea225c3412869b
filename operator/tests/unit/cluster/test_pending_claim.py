"""A claim in trouble: told until the watch reports it bound, and asked about while it is told."""

from __future__ import annotations

from typing import Any

import pytest

from slicewise.clients.resources import CLAIMS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.records import PoolEntry
from slicewise.cluster.references import pending_claim
from slicewise.pool.observed import PendingClaim, References

TOLD = PendingClaim("chat-weights", "ProvisioningFailed", "out of disks")


def claim(version: int, phase: str) -> dict[str, Any]:
    owner = {
        "apiVersion": "slicewise.dev/v1alpha1",
        "kind": "InferencePool",
        "name": "chat",
        "uid": "p",
        "controller": True,
    }
    metadata = {"name": "chat-weights", "namespace": "default", "uid": "c", "resourceVersion": str(version)}
    return {"metadata": {**metadata, "ownerReferences": [owner]}, "status": {"phase": phase}}


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    metadata = {"name": "chat", "namespace": "default", "uid": "p", "resourceVersion": "1"}
    cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
    cache.ingest(CLAIMS, claim(2, "Pending"))
    return cache


def entry(cache: Cache) -> PoolEntry:
    return cache.pools["default", "chat"]


def test_the_operators_own_claim_is_told_until_the_watch_reports_it_bound(cache: Cache) -> None:
    entry(cache).references = References(pending=TOLD)
    assert pending_claim(entry(cache)) == TOLD
    assert cache.ingest(CLAIMS, claim(3, "Bound")) == {("default", "chat")}
    assert pending_claim(entry(cache)) is None


def test_a_claim_that_only_the_spec_names_is_told_until_it_is_read_again(cache: Cache) -> None:
    named = PendingClaim("mine", "ProvisioningFailed", "out of disks")
    entry(cache).references = References(pending=named)
    assert pending_claim(entry(cache)) == named
