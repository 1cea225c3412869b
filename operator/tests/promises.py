"""What no pass may do to workers that serve. Every pass of a simulation is held against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import Any


def check_floor(
    status: Mapping[str, Any], budgets: Mapping[str, int], before: Counter[str], after: Counter[str]
) -> None:
    """A pass of ours never takes a serving worker away from a zone that has no more than its floor. `before`, `after`: by zone."""
    floors = {zone["name"]: zone["floor"] for zone in status.get("zones", [])} | dict(budgets)
    for name, floor in floors.items():
        if after[name] < before[name]:
            assert after[name] >= floor, f"zone {name}: {before[name]} → {after[name]}, floor {floor}"
    if status.get("desired") and sum(before.values()):
        assert sum(after.values()), "a pass took the last worker that served"


def check_requests_first(
    weights: Mapping[str, int], asking: Container[str], before: Counter[str], after: Counter[str]
) -> None:
    """No revision loses its last worker that serves while the gateway sends it requests and the other could take them.

    `asking`: revisions of which a Deployment asks for workers. `before`, `after`: by revision.
    """
    for revision, weight in weights.items():
        others = any(count for name, count in after.items() if name != revision)
        if weight and others and before[revision] and not after[revision]:
            assert revision in asking, f"{revision} lost its last worker with {weight} % of the requests"
