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
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from slicewise_worker.engine.needs import Needs
from slicewise_worker.engine.shape import ContextShape

_TIMEOUT_SECONDS: Final = 120
"""Of one question; the first one reads the header."""
_LONGEST_ANSWER: Final = 1 << 20


class UnusableError(Exception):
    """llama.cpp cannot read this model or build this context; the message holds its words."""


def measure(path: Path, shape: ContextShape, *, gpu: bool) -> Needs:
    """Return what `path` needs in the form `shape`; raises `UnusableError`. What adapters need is left at 0."""
    with DryRun(path, gpu=gpu) as dry:
        return dry.measure(shape)


def try_adapter(*paths: Path, adapter: Path, gpu: bool) -> None:
    """Find out whether `adapter` can be loaded beside the model at `paths`; raises `UnusableError`."""
    with DryRun(*paths, gpu=gpu) as dry:
        dry.ask({"adapter": str(adapter)})


class DryRun:
    """A child that has read the header of one model and answers any number of questions. Use as a context manager.

    `begin` may come long before: what the child loads, and the header, it reads while its parent does other things.
    """

    def __init__(self, *paths: Path, gpu: bool) -> None:
        """`paths`: of the model's file, or of all its parts in their order."""
        self.paths, self.gpu = paths, gpu
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def begin(self) -> None:
        """Start the child, where it does not run yet."""
        if self._child is not None:
            return
        with ExitStack() as opened:
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            self._child = child = subprocess.Popen(
                [sys.executable, "-m", "slicewise_worker.engine.dry_run"],
                # Without it a crash starts a debugger for a trace of the stack, which takes seconds and tells users nothing.
                env={**os.environ, "GGML_NO_BACKTRACE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
            opened.pop_all()
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("pipes were asked for")
        self._questions, self._answers = child.stdin, child.stdout
        self._tell({"paths": [str(path) for path in self.paths], "gpu": self.gpu})

    def close(self) -> None:
        """End the child, if one runs."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                pipe.close()
        child.wait()
        self._errors.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        status = self._child.wait() if self._child else 0
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
