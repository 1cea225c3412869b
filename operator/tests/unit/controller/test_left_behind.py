"""Pods of a pool that was deleted, seen by a pool of the same name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders import make_node

from slicewise.cluster.gateway_pods import observed_gateway, read_gateway_pod
from slicewise.cluster.jobs_pods import observed_jobs_pods, read_jobs_pod
from slicewise.controller.observe import _pod
from slicewise.objects.pods import read_pod, timestamp

BODY = {
    "metadata": {"name": "chat-a-1", "uid": "u", "creationTimestamp": "2026-01-01T00:00:10Z", "labels": {}},
    "spec": {"nodeName": "node-a"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_a_worker_that_is_older_than_its_pool_serves_nothing_and_holds_its_slice_until_it_has_gone() -> None:
    record, nodes = read_pod(BODY, 1), {"node-a": make_node("node-a", "a", 1)}
    own = _pod(record, nodes, timestamp("2026-01-01T00:00:10Z"))
    assert (own.serving, own.holds_slice) == (True, True), "made in the same second"
    left = _pod(record, nodes, timestamp("2026-01-01T00:00:11Z"))
    assert (left.serving, left.terminating, left.holds_slice) == (False, True, True)
    assert replace(left, terminating=False) == own


@pytest.mark.parametrize(
    ("read", "observed"), [(read_gateway_pod, observed_gateway), (read_jobs_pod, observed_jobs_pods)]
)
def test_pods_of_the_gateway_and_of_jobs_that_are_older_than_the_pool_are_about_to_go(
    read: Callable[..., Any], observed: Callable[..., Any]
) -> None:
    nodes = {"node-a": make_node("node-a", "a", 1)}
    (own,) = observed([read(BODY, 1, None)], nodes, timestamp("2026-01-01T00:00:10Z"))
    (left,) = observed([read(BODY, 1, None)], nodes, timestamp("2026-01-01T00:00:11Z"))
    assert (own.ready, own.terminating, left.terminating) == (True, False, True)
