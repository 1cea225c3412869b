"""What the command line says of a pool agrees with its status, in every second of a rollout on a simulated cluster."""

from __future__ import annotations

import re

import pytest
from builders import make_pool
from counting import CountingGateway, Quality
from judged import LIMITS, wanted
from simulation import OTHER, Simulation, changed

from slicewise_cli.view.lines import Line, Tree
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.tree import change_line, pool_row, pool_tree


def shown(run: Simulation) -> str:
    """The tree, the row of the table and the line of a watch. Without workers, which are read at another moment than the status."""
    body = run.pool.model_dump(by_alias=True, exclude_none=True, mode="json")
    pool = read_pool({**body, "status": run.status}, [])
    row = " ".join(text(cell) for cell in pool_row(pool, run.now))
    return "\n".join([*lines(pool_tree(pool, run.now)), row, change_line(pool)])


def lines(tree: Tree) -> list[str]:
    return [text(tree.head), *(each for branch in tree.branches for each in lines(branch))]


def text(line: Line) -> str:
    return "".join(part for part, _style in line.parts)


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
        said = shown(run)
        status = run.status
        weights = set(map(int, re.findall(r"(?:canary|Analysing[^\n]*), (\d+) % of the requests$", said, re.MULTILINE)))
        assert weights <= {status["rollout"].get("weight")}, said
        for ready, desired in re.findall(r"(\d+)(?: of |/)(\d+) ready", said):
            assert int(ready) <= int(desired), said
        counted = set(re.findall(r"(\d+) of (\d+) workers are ready", said))
        assert counted <= {(str(status["readyReplicas"]), str(status["desired"]))}, said
        assert ("(wanted: large)" in said) == ("wantedModel" in status), said
        run.tick()
    assert run.status["rollout"]["phase"] == ("RolledBack" if failed else "Idle")
