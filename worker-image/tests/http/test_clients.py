"""Clients that are not ours to change work against a worker, streamed and whole. Each is a program in `clients/`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = sorted(path for path in (ROOT / "worker-image/tests/clients").glob("*.py") if path.stem != "endpoint")


@pytest.fixture(scope="module")
def python() -> str:
    """The Python that has the clients."""
    made = subprocess.run([ROOT / "images/clients.sh"], capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_client_works_as_it_is(program: Path, python: str, caller: Path, shared_worker: Any) -> None:
    worker = shared_worker(caller, context_tokens=8192, parallel_sequences=2)
    # LiteLLM would look for prices on the internet.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [python, program, worker.url, "chat"],
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-8000:]}"
