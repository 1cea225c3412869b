"""Lanes: each process that runs stories has a cluster of its own, and `make test` makes those clusters and one process more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.support.programs import CLUSTERS, ROOT, cluster_of

# Each starts pytest with several processes, on a machine that may be busy.
pytestmark = pytest.mark.timeout(900)

CONFTEST = """
from e2e.support.xdist_lanes import DealOut

def pytest_xdist_make_scheduler(config, log):
    return DealOut(config, log)
"""
BODY = """
import os, pathlib, time

def test_it():
    process, begin = os.environ["PYTEST_XDIST_WORKER"], time.monotonic()
    pathlib.Path(__file__).with_suffix(".ran").write_text(f"{{process}} {{begin}}")
    {does}
"""
CRASH = "os._exit(1)"


def test_each_lane_has_a_cluster_of_its_own_and_a_single_process_has_the_first() -> None:
    assert [cluster_of(f"gw{number}") for number in range(len(CLUSTERS))] == list(CLUSTERS)
    assert cluster_of("") == CLUSTERS[0]
    assert cluster_of("gw17") in CLUSTERS


def test_make_makes_the_cluster_of_each_lane_and_has_processes_for_the_other_tests() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (named,) = re.findall(r"^CLUSTERS := (.+)$", makefile, re.MULTILINE)
    assert tuple(named.split()) == CLUSTERS
    (processes,) = re.findall(r"pytest -n ([1-9]\d*)", makefile)
    assert int(processes) > len(CLUSTERS)


@pytest.mark.parametrize(
    ("stories", "others", "processes"),
    [(3, 6, 3), (0, 6, 3), (3, 4, 2)],
    ids=["a process beside the lanes", "no story", "lanes only"],
)
def test_stories_run_on_the_lanes_after_the_other_tests(
    tmp_path: Path, stories: int, others: int, processes: int
) -> None:
    write(tmp_path / "e2e/scenarios", ["time.sleep(0.1)"] * stories)
    write(tmp_path / "other", ["time.sleep(0.2)"] * others)
    said = run(tmp_path, processes)
    assert f"{stories + others} passed" in said
    told, rest = ran(tmp_path / "e2e/scenarios"), ran(tmp_path / "other")
    assert {process for process, _ in told} <= {"gw0", "gw1"}
    if told and rest:
        assert min(begin for _, begin in told) > min(begin for _, begin in rest) + 0.2
    if told and processes > len(CLUSTERS):
        assert not {process for process, _ in rest} & {"gw0", "gw1"}


def test_where_the_process_of_each_lane_crashed_another_runs_the_stories(tmp_path: Path) -> None:
    write(tmp_path / "e2e/scenarios", [CRASH, CRASH, "pass", "pass"])
    write(tmp_path / "other", ["pass"] * 3)
    said = run(tmp_path, 3)
    assert "2 failed, 5 passed" in said, said


def write(folder: Path, bodies: list[str]) -> None:
    """A file for each test, so that each is a unit of its own."""
    folder.mkdir(parents=True)
    for number, does in enumerate(bodies):
        (folder / f"test_{folder.name}_{number}.py").write_text(BODY.format(does=does))


def run(folder: Path, processes: int) -> str:
    """Return what pytest says of the tests below the folder."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    options = ("-p", "xdist", f"-n{processes}", "--no-loadscope-reorder", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."],
        check=False,
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=800,
    )
    return done.stdout + done.stderr


def ran(folder: Path) -> list[tuple[str, float]]:
    """Return of each test its process and when it began."""
    found = [path.read_text().split() for path in folder.glob("*.ran")]
    return [(process, float(begin)) for process, begin in found]
