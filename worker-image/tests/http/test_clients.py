"""Clients that are not ours to change work against a worker, streamed and whole. Each is a program in `clients/`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from snippets import EVERY

ROOT = Path(__file__).parents[3]
PROGRAMS = sorted(path for path in (ROOT / "worker-image/tests/clients").glob("*.py") if path.stem != "endpoint")


@pytest.fixture(scope="module")
def python() -> str:
    """The Python that has the clients."""
    made = subprocess.run([ROOT / "images/clients.sh"], capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


EXAMPLES = "".join(each.text for each in EVERY if each.info == "python client")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_client_works_as_it_is(program: Path, python: str, caller: Path, shared_worker: Any) -> None:
    run(python, program, serving(shared_worker, caller).url, "chat")


def test_the_examples_of_the_documentation_work(python: str, caller: Path, shared_worker: Any, tmp_path: Path) -> None:
    worker = serving(shared_worker, caller)
    assert EXAMPLES.count("localhost:8080") == EXAMPLES.count("my-key") > 4
    text = EXAMPLES.replace("http://localhost:8080", worker.url).replace("chat-small", "chat")
    (tmp_path / "examples.py").write_text(text)
    printed = run(python, tmp_path / "examples.py")
    assert printed.count("Let me look.") == 5
    assert "feeling=" in printed


def serving(shared_worker: Any, model: Path) -> Any:
    return shared_worker(model, context_tokens=8192, parallel_sequences=2)


def run(python: str, *words: str | Path) -> str:
    """Run a program with the clients; return what it prints."""
    # LiteLLM would look for prices on the internet.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [python, *words], env=os.environ | quiet, capture_output=True, text=True, check=False, timeout=240
    )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-8000:]}"
    return ran.stdout
