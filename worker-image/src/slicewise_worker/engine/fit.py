"""How much memory a model needs, asked of llama.cpp itself before anything is loaded.

In a child process (`dry_run.py`), which a hostile file may end, or keep busy until its time is over.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from slicewise_worker.engine.llama import ContextShape
from slicewise_worker.engine.needs import Needs

_TIMEOUT_SECONDS: Final = 120
"""Of one question; the first one reads the header."""
_LONGEST_ANSWER: Final = 1 << 20


class UnusableError(Exception):
    """llama.cpp cannot read this model or build this context; the message holds its words."""


def measure(path: Path, shape: ContextShape, *, gpu: bool) -> Needs:
    """Return what `path` needs in the form `shape`; raises `UnusableError`. What adapters need is left at 0."""
    with DryRun(path, gpu=gpu) as dry:
        return dry.measure(shape)


def try_adapter(path: Path, adapter: Path, *, gpu: bool) -> None:
    """Find out whether `adapter` can be loaded beside the model at `path`; raises `UnusableError`."""
    with DryRun(path, gpu=gpu) as dry:
        dry.ask({"adapter": str(adapter)})


class DryRun:
    """A child that has read the header of one model and answers any number of questions. Use as a context manager."""

    def __init__(self, path: Path, *, gpu: bool) -> None:
        self._about = {"path": str(path), "gpu": gpu}

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "slicewise_worker.engine.dry_run"],
            # Without it a crash starts a debugger for a trace of the stack, which takes seconds and tells users nothing.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("pipes were asked for")
        self._questions, self._answers = self._child.stdin, self._child.stdout
        self._tell(self._about)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                pipe.close()
        self._child.wait()
        self._errors.close()

    def measure(self, shape: ContextShape) -> Needs:
        """Return what the model needs in the form `shape`; raises `UnusableError`."""
        return Needs(**self.ask({"shape": asdict(shape)}))

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer; raises `UnusableError`, after which no further question has an answer."""
        self._tell(question)
        line = self._line()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise UnusableError(self._why_none()) from error
        if "error" in answer:
            raise UnusableError(answer["error"])
        return answer

    def _tell(self, what: Mapping[str, Any]) -> None:
        # A child that has ended says so by an answer that does not come.
        with suppress(BrokenPipeError):
            self._questions.write(f"{json.dumps(what)}\n".encode())
            self._questions.flush()

    def _line(self) -> bytes:
        """Return the next line of the child, or what came before it ended."""
        found = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self._answers, selectors.EVENT_READ)
            while not found.endswith(b"\n") and len(found) < _LONGEST_ANSWER:
                if not ready.select(_TIMEOUT_SECONDS):
                    raise UnusableError(f"llama.cpp did not get through the file's header in {_TIMEOUT_SECONDS} s")
                if not (part := os.read(self._answers.fileno(), 1 << 16)):
                    break
                found += part
        return found

    def _why_none(self) -> str:
        status = self._child.wait()
        self._errors.seek(0)
        said = self._errors.read(1 << 20).decode("utf-8", "replace")
        if status < 0:
            return f"llama.cpp crashed (signal {-status}) on the file's header or tokenizer: {_last_words(said)}"
        return f"the dry run failed: {said.strip()[-500:]}"


def _last_words(errors: str) -> str:
    """Return the assertion that ended llama.cpp; behind it comes a trace of the stack."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if "GGML_ASSERT" in line or "error" in line.lower() or "what():" in line]
    return re.sub(r"^/\S*/", "", (told or lines or ["it said nothing"])[0])[:300]
