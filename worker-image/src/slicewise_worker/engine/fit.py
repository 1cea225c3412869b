"""How much memory a model needs, asked of llama.cpp itself before anything is loaded.

A dry run in a child process (`python -m slicewise_worker.engine.fit`): llama.cpp simulates its allocations to the byte
and reads no weights, and a header or a tokenizer that makes it abort kills the child, not the worker.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slicewise_worker.engine.backends import load_gpus
from slicewise_worker.engine.llama import Context, ContextShape, LlamaError, Model, recent_log, start_backend
from slicewise_worker.engine.probe import PROBES

_BUFFERS = re.compile(r"(?:compute|output) buffer size = +([\d.]+) MiB")
_CACHES = re.compile(r"^llama_(?:kv_cache|memory)\w*: size = +([\d.]+) MiB")
_MIB = 1 << 20
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Needs:
    """Memory of a model in bytes: the weights, the KV cache of all sequences, the buffers of a step, adapters."""

    weights: int
    cache: int
    compute: int
    trained_context: int
    """Tokens that the model was trained for."""
    adapters: int = 0
    """Adapters and what the largest adds to the buffers of a step."""

    @property
    def total(self) -> int:
        """All of them together."""
        return self.weights + self.cache + self.compute + self.adapters


class UnusableError(Exception):
    """llama.cpp cannot read this model or build this context; the message holds its words."""


def measure(path: Path, shape: ContextShape, *, gpu: bool) -> Needs:
    """Return what `path` needs in the form `shape`; raises `UnusableError`. What adapters need is left at 0."""
    return Needs(**_ask({"path": str(path), "gpu": gpu, "shape": asdict(shape)}))


def try_adapter(path: Path, adapter: Path, *, gpu: bool) -> None:
    """Find out whether `adapter` can be loaded beside the model at `path`; raises `UnusableError`."""
    _ask({"path": str(path), "gpu": gpu, "adapter": str(adapter)})


def _ask(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a child says to `question`; raises `UnusableError`."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "slicewise_worker.engine.fit", json.dumps(question)],
            # Without it a crash starts a debugger for a trace of the stack, which takes seconds and tells users nothing.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnusableError(f"llama.cpp did not get through the file's header in {_TIMEOUT_SECONDS} s") from error
    if child.returncode < 0:
        raise UnusableError(
            f"llama.cpp crashed (signal {-child.returncode}) on the file's header or tokenizer: {_last_words(child.stderr)}"
        )
    try:
        answer: dict[str, Any] = json.loads(child.stdout)
    except ValueError as error:
        raise UnusableError(f"the dry run failed: {child.stderr.strip()[-500:]}") from error
    if "error" in answer:
        raise UnusableError(answer["error"])
    return answer


def _last_words(errors: str) -> str:
    """Return the assertion that ended llama.cpp; behind it comes a trace of the stack."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if "GGML_ASSERT" in line or "error" in line.lower() or "what():" in line]
    return re.sub(r"^/\S*/", "", (told or lines or ["it said nothing"])[0])[:300]


def _sum_mib(pattern: re.Pattern[str]) -> int:
    return sum(round(float(found[1]) * _MIB) for line in recent_log() if (found := pattern.search(line)))


def _dry_run(path: Path, shape: ContextShape, *, gpu: bool) -> Needs:
    model = Model(path, gpu=gpu, dry=True)
    # A tokenizer that llama.cpp gives up on (it ends the process then) ends this one, not a worker that serves.
    for text in PROBES:
        model.tokenize(text)
    weights, trained = model.bytes, model.trained_context
    context = Context(model, shape)
    context.close()
    model.close()
    return Needs(weights, _sum_mib(_CACHES), _sum_mib(_BUFFERS), trained)


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    path, gpu = Path(question["path"]), question["gpu"]
    start_backend()
    if gpu:
        load_gpus()
    if "adapter" not in question:
        return asdict(_dry_run(path, ContextShape(**question["shape"]), gpu=gpu))
    model = Model(path, gpu=gpu, dry=True)
    model.load_adapter("tried", Path(question["adapter"]))
    model.close()
    return {}


def main() -> None:
    """Answer the question in the first argument on standard output."""
    with suppress(OSError):
        # Before the worker, where memory runs out: the worker then says what happened.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    question = json.loads(sys.argv[1])
    try:
        answer = _answer(question)
    except LlamaError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
