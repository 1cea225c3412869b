"""Every distribution logs the same way: a JSON object a line with the fields of an event, also of what libraries log."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[4]

PROGRAM = """
import logging
import structlog
from {module} import {function} as configure
configure("info", "json")
configure("warning", {form!r})
log = structlog.get_logger("here")
log.info("below the level")
log.warning("file not read", path="/a b", error="line one\\nline two")
logging.getLogger("library").warning("%d of %d", 1, 2)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("step failed", step=3)
"""

DISTRIBUTIONS = [
    ("slicewise.telemetry.logs", "configure_logs"),
    ("slicewise_gateway.logs", "configure"),
    ("slicewise_jobs.logs", "configure"),
    ("slicewise_worker.logs", "configure"),
]


def logged(module: str, function: str, form: str) -> str:
    """Return what a program of that distribution writes to standard error."""
    program = PROGRAM.format(module=module, function=function, form=form)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(("module", "function"), DISTRIBUTIONS)
def test_a_line_is_an_event_with_its_fields(module: str, function: str) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged(module, function, "json").splitlines()]
    assert all(line.pop("timestamp").endswith("Z") for line in lines)
    assert lines[-1].pop("exception").endswith("ZeroDivisionError: division by zero")
    assert lines == [
        {
            "level": "warning",
            "logger": "here",
            "event": "file not read",
            "path": "/a b",
            "error": "line one\nline two",
        },
        {"level": "warning", "logger": "library", "event": "1 of 2"},
        {"level": "error", "logger": "here", "event": "step failed", "step": 3},
    ]


@pytest.mark.parametrize(("module", "function"), DISTRIBUTIONS)
def test_as_text_a_line_begins_with_time_level_and_event(module: str, function: str) -> None:
    text = logged(module, function, "text")
    assert "below the level" not in text
    assert "file not read" in text
    assert "path='/a b'" in text
    assert "ZeroDivisionError: division by zero" in text


SOURCES = [
    path
    for part in ("operator", "gateway", "jobs", "worker-image")
    for path in sorted((REPOSITORY / part / "src").rglob("*.py"))
]
LIBRARIES = {"logs.py", "llama_log.py"}
"""They set up what libraries log, or log what llama.cpp says."""


def test_what_varies_is_in_fields_never_in_the_event() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and any(name.name == "logging" for name in node.names):
                wrong += [f"{path}:{node.lineno}: logging"] if path.name not in LIBRARIES else []
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "log" and path.name not in LIBRARIES:
                varies = len(node.args) != 1 or isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
                wrong += [f"{path}:{node.lineno}: more than an event"] if varies else []
    assert wrong == []
