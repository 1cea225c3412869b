"""What the command line says of a pool agrees with its status, in every second of a rollout on a simulated cluster."""

from __future__ import annotations

import io
import re

import pytest
from builders import make_pool
from counting import CountingGateway, Quality
from judged import LIMITS, wanted
from rich.console import Console
from simulation import OTHER, Simulation, changed

from slicewise_cli.tables import renderable
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.tree import change_line, pool_row, pool_tree


def shown(run: Simulation) -> str:
    """The tree, the row of the table and the line of a watch. Without workers, which are read at another moment than the status."""
    body = run.pool.model_dump(by_alias=True, exclude_none=True, mode="json")
    pool = read_pool({**body, "status": run.status}, [])
    console = Console(file=io.StringIO(), width=4000, color_system=None)
    console.print(renderable(pool_tree(pool, run.now)))
    console.print(*map(renderable, pool_row(pool, run.now)))
    console.print(change_line(pool))
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


@pytest.mark.parametrize("failed", [0.0, 0.5])
@pytest.mark.parametrize("slices", [3, 6])
def test_no_line_contradicts_another_in_a_rollout(failed: float, slices: int) -> None:
    canary = {**LIMITS, "steps": [{"weight": 25, "window": "20s"}]}
    run = Simulation(make_pool(replicas=slices, rollout={"canary": canary}), gateway=CountingGateway(40))
    run.linger = 0.5
    run.settle()
    run.pool = changed(run.pool, model={**OTHER, "name": "large"})
    assert run.gateway is not None
    run.gateway.quality[wanted(run)] = Quality(failed=failed)
    for _ in range(300):
        run.operate()
        text = shown(run)
        status = run.status
        weights = set(map(int, re.findall(r"(?:canary|Analysing[^\n]*), (\d+) % of the requests$", text, re.MULTILINE)))
        assert weights <= {status["rollout"].get("weight")}, text
        for ready, desired in re.findall(r"(\d+)(?: of |/)(\d+) ready", text):
            assert int(ready) <= int(desired), text
        counted = set(re.findall(r"(\d+) of (\d+) workers are ready", text))
        assert counted <= {(str(status["readyReplicas"]), str(status["desired"]))}, text
        assert ("(wanted: large)" in text) == ("wantedModel" in status), text
        run.tick()
    assert run.status["rollout"]["phase"] == ("RolledBack" if failed else "Idle")
