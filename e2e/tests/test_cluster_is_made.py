"""Whether `make cluster` takes a cluster for made: an engine that does not answer is asked again, and nothing is concluded from that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

UP = Path(__file__).parents[1] / "cluster/up.sh"
FOUR = "echo c-control-plane c-worker c-worker2 c-worker3 | tr ' ' '\\n'"
NOT_THERE = "echo 'Error response from daemon: Could not find the file /kind/slicewise-made in container' >&2; exit 1"
BUSY = "echo 'Error response from daemon: context deadline exceeded' >&2; exit 1"


def is_made(folder: Path, kind: str, docker: str) -> tuple[int, str, int]:
    """Return the status of `is_made`, what it said, and how often it waited, with programs that do this."""
    programs = folder / "bin"
    programs.mkdir()
    for name, does in {"kind": kind, "docker": docker, "sleep": "true"}.items():
        program = programs / name
        program.write_text(
            f"#!/bin/bash\necho {name} >>{folder}/calls\nasked=$(grep -cx {name} {folder}/calls)\n{does}\n"
        )
        program.chmod(0o755)
    given = {**os.environ, "SLICEWISE_CACHE": str(folder)}
    done = subprocess.run(
        ["bash", UP, "--inside", "is_made"], check=False, env=given, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr, (folder / "calls").read_text().split().count("sleep")


@pytest.mark.parametrize(
    ("kind", "docker", "made"),
    [
        (FOUR, "exit 0", True),
        ("echo 'No kind nodes found' >&2", "exit 0", False),
        ("echo c-control-plane", "exit 0", False),
        (FOUR, NOT_THERE, False),
    ],
    ids=["made", "not there", "nodes are missing", "never finished"],
)
def test_what_the_engine_says_holds_at_once(tmp_path: Path, kind: str, docker: str, made: bool) -> None:
    status, said, waits = is_made(tmp_path, kind, docker)
    assert (status == 0, waits) == (made, 0), said


@pytest.mark.parametrize(
    ("kind", "docker"),
    [
        (f"[ $asked -gt 3 ] || exit 1; {FOUR}", "exit 0"),
        (FOUR, f"[ $asked -gt 3 ] || {{ {BUSY}; }}; exit 0"),
    ],
    ids=["its nodes cannot be listed", "its node cannot be looked into"],
)
def test_a_cluster_that_works_is_taken_for_made_by_a_busy_engine(tmp_path: Path, kind: str, docker: str) -> None:
    status, said, waits = is_made(tmp_path, kind, docker)
    assert (status, waits) == (0, 3), said


def test_an_engine_that_never_answers_ends_the_run_and_costs_no_cluster(tmp_path: Path) -> None:
    status, said, _ = is_made(tmp_path, FOUR, BUSY)
    assert status == 1
    assert "does not say whether cluster" in said
    assert "delete cluster" not in (tmp_path / "calls").read_text()
