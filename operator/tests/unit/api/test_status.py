"""The status as it is read: what another version wrote fails no pool, and what is written is declared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from builders import make_pool
from counting import CountingGateway
from judged import LIMITS, runs, until
from pydantic import ValidationError
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1.status import PoolStatus, RolloutStatus
from slicewise.pool.plan import plan_pool

Path = tuple[Any, ...]
REQUIRED = {"type", "status", "reason", "message", "lastTransitionTime", "name"}
"""Of a list's entries: without one of these the whole entry is nothing."""


@pytest.fixture(scope="module")
def run() -> Simulation:
    """A pool whose canary is judged, so that its status has all there is."""
    found = Simulation(make_pool(replicas=3, rollout={"canary": LIMITS}), gateway=CountingGateway(10))
    found.settle()
    found.pool = changed(found.pool, model=OTHER)
    until(found, "Analysing")
    runs(found, 10)
    return found


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    children = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


def filled(value: Any) -> Any:
    """Without objects and lists that are empty: they say nothing."""
    if isinstance(value, dict):
        return {key: part for key, child in value.items() if (part := filled(child)) not in ({}, [])}
    return [filled(child) for child in value] if isinstance(value, list) else value


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def test_a_status_is_written_as_it_was_read(run: Simulation) -> None:
    assert PoolStatus.read(run.status).write() == run.status
    assert PoolStatus.read(json.loads(json.dumps(run.status))).write() == run.status


@pytest.mark.parametrize("wrong", [["x"], {"x": {"y": 1}}, "\N{SNOWMAN}", 1e300, -(10**20), "x" * 40_000])
def test_a_field_of_another_type_counts_as_absent_and_takes_nothing_else_with_it(run: Simulation, wrong: Any) -> None:
    for path in paths(run.status):
        stored = deepcopy(run.status)
        at(stored, path[:-1])[path[-1]] = wrong
        entry = path[:-1] if path[-1] in REQUIRED and path[0] in {"conditions", "zones"} else path
        without = deepcopy(run.status)
        del at(without, entry[:-1])[entry[-1]]
        read = PoolStatus.read(stored)
        taken = deepcopy(run.status)
        at(taken, path[:-1])[path[-1]] = wrong[:32768] if isinstance(wrong, str) else wrong
        absent = PoolStatus.read(without)
        assert filled(read.write()) in (filled(absent.write()), taken), f"{path} = {wrong!r:.50}"


@pytest.mark.parametrize("stored", [None, [], "x", 3, {}, {"x": 1}, {"rollout": None}, {"conditions": {}}])
def test_a_status_of_no_use_reads_as_empty(stored: object) -> None:
    assert PoolStatus.read(stored) == PoolStatus()


def test_fields_of_a_newer_version_are_left_out(run: Simulation) -> None:
    stored = deepcopy(run.status)
    for path in list(paths(run.status)):
        if isinstance(at(run.status, path), dict):
            at(stored, path)["newer"] = {"a": 1}
    assert PoolStatus.read({**stored, "newer": 1}).write() == run.status


def test_a_field_that_is_not_declared_cannot_be_written() -> None:
    with pytest.raises(ValidationError, match="undeclared"):
        RolloutStatus(phase="Idle", undeclared="x")


def test_a_message_that_the_schema_would_refuse_is_cut() -> None:
    assert len(RolloutStatus(message="x" * 100_000).message or "") == 32768


@pytest.mark.parametrize("wrong", [["x"], "x", 1e300, -5])
def test_a_pass_gets_over_any_field_of_another_type(run: Simulation, wrong: Any) -> None:
    observed = run.observed()
    for path in paths(run.status):
        stored = deepcopy(run.status)
        at(stored, path[:-1])[path[-1]] = wrong
        plan = plan_pool(run.pool, replace(observed, status=PoolStatus.read(stored)), run.now)
        assert plan.children
        assert PoolStatus.read(plan.status).write() == plan.status
