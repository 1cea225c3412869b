"""Requests made from the worker's own OpenAPI document, valid ones and others: each is answered as the document says.

`make fuzz` runs it, and no other command.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fuzzing import FOUND, INPUTS, MIB, SLACK, Figures, resident

ROOT = Path(__file__).parents[3]
HOOKS = Path(__file__).with_name("requests_of_the_document.py")
SECONDS = 120
"""For one answer, by the clock."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "streams_are_whole",
    "refusals_say_why",
)
PATHS = 7
"""That take bodies; schemathesis makes as many requests to each."""
PARTS = 4


@pytest.fixture(scope="module")
def program() -> Path:
    """Schemathesis, in its own environment."""
    script = [ROOT / "images/clients.sh", "schemathesis"]
    made = subprocess.run(script, capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip()).with_name("schemathesis")


def asked(program: Path, url: str, folder: Path, examples: int, seed: int) -> dict[str, int]:
    """Make that many requests to each path; return what was answered, and how often."""
    here = {"SCHEMATHESIS_HOOKS": str(HOOKS), "ANSWERED": str(folder / "answered.json")}
    quiet = ["--no-color", "--warnings=off", "--suppress-health-check=all", "--generation-database=none"]
    limits = [f"--request-timeout={SECONDS}", f"--max-examples={examples}", f"--seed={seed}", "--continue-on-failure"]
    checks = ["--phases=fuzzing", f"--checks={','.join(CHECKS)}"]
    ran = subprocess.run(
        [program, "run", f"{url}/openapi.json", *quiet, *limits, *checks],
        cwd=folder,
        env=os.environ | here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-12000:]}\n{ran.stderr[-2000:]}"
    found: dict[str, int] = json.loads((folder / "answered.json").read_text())
    return found


@pytest.mark.fuzz
def test_any_request_is_answered_as_the_document_says(
    tiny: Path, program: Path, shared_worker: Any, tmp_path: Path
) -> None:
    worker = shared_worker(tiny, parallel_sequences=2)
    figures = FOUND.setdefault("any request", Figures())
    start = time.monotonic()
    for part in range(PARTS):
        answered = asked(program, worker.url, tmp_path, -(-INPUTS // PATHS // PARTS), part)
        figures.inputs += sum(answered.values())
        figures.memory.append(resident(worker.process.pid))
        figures.seconds = time.monotonic() - start
        print(answered)
    assert worker.process.poll() is None
    assert worker.post("/v1/completions", {"model": "chat", "prompt": "Hi", "max_tokens": 2}).status_code == 200
    grown = figures.memory[-1] - figures.warm
    assert grown <= SLACK, f"after {figures.inputs} requests the worker holds {grown / MIB:.0f} MiB more"
