"""The child process of `fit`: `python -m slicewise_worker.engine.dry_run`. llama.cpp simulates its allocations and reads no weights.

The first line on standard input says which model, each further one is a question, and each has a line of answer. The model is read before
the first question comes, by `parts.py` first. A header or a tokenizer that makes llama.cpp abort ends this process alone, and its
address space is bounded where only the CPU computes: drivers of GPUs reserve more than there is.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from slicewise_worker.engine.allocated import Part, graphs, outputs, parts, recurrent
from slicewise_worker.engine.backends import load_gpus
from slicewise_worker.engine.gguf_header import HeaderError
from slicewise_worker.engine.heap import heap_bytes
from slicewise_worker.engine.llama import (
    Context,
    LlamaError,
    Model,
    forget_log,
    recent_log,
    start_backend,
)
from slicewise_worker.engine.needs import Needs
from slicewise_worker.engine.parts import read_parts
from slicewise_worker.engine.probe import PROBES
from slicewise_worker.engine.scratch import scratch_bytes
from slicewise_worker.engine.shape import ContextShape

ADDRESS_BYTES: Final = 4 << 30
"""Beyond what the process starts with: the records of 60 million tokens of cache."""
_CPU_SECONDS: Final = 600
_SLACK: Final = 1 << 20
"""For what a context allocates besides while it computes: the table of threads, growing lists."""


class _DryModel:
    """A model without weights, and what it took of the heap."""

    def __init__(self, paths: Sequence[Path], *, gpu: bool) -> None:
        self._header = read_parts(paths)
        before = heap_bytes()
        self.model = Model(*paths, gpu=gpu, dry=True)
        self._heap = heap_bytes() - before
        self._gpu = gpu
        # A tokenizer that llama.cpp gives up on (it ends the process then) ends this one, not a worker that serves.
        for text in PROBES:
            self.model.tokenizer.at_once(text)

    def measure(self, shape: ContextShape) -> Needs:
        forget_log()
        before = heap_bytes()
        context = Context(self.model, shape)
        records = self._heap + heap_bytes() - before
        found, log = parts(context.pointer), recent_log()
        context.close()
        logits, threads = outputs(log), scratch_bytes(self._header, shape, flash=_flash(shape, log))
        records += graphs(log) + _SLACK
        if self._gpu:
            device, host = _sum(found, host=False), _sum(found, host=True)
            beside = host.model + host.context + host.compute + logits + threads + records
            return Needs(device.model, device.context, device.compute, self.model.trained_context, host=beside)
        # These are allocated by a dry run, too, and were counted with the records.
        records = max(0, records - logits - recurrent(log))
        mapped, laid_out = _sum(found, host=True), _sum(found, host=False)
        buffers = mapped.compute + laid_out.compute + logits + threads
        weights, cache = mapped.model + laid_out.model, mapped.context + laid_out.context
        trained = self.model.trained_context
        return Needs(weights, cache, buffers, trained, records=records, laid_out=laid_out.model)


def _sum(found: list[Part], *, host: bool) -> Part:
    of = [part for part in found if part.host is host]
    return Part(
        host,
        model=sum(part.model for part in of),
        context=sum(part.context for part in of),
        compute=sum(part.compute for part in of),
    )


def _flash(shape: ContextShape, log: list[str]) -> bool:
    if shape.flash_attention == "Disabled" and shape.kv_type == "f16":
        return False
    return not any("Flash Attention not supported" in line or "forcing off" in line for line in log)


def _bound(*, gpu: bool) -> None:
    with suppress(OSError):
        # Before the worker, where memory runs out: the worker then says what happened.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    if not gpu:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + ADDRESS_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _answer(dry: _DryModel, question: dict[str, Any]) -> dict[str, Any]:
    if "adapter" in question:
        dry.model.load_adapter("tried", Path(question["adapter"]))
        return {}
    return asdict(dry.measure(ContextShape(**question["shape"])))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def main() -> None:
    """Answer the questions on standard input, one line each."""
    about = json.loads(sys.stdin.readline())
    _bound(gpu=about["gpu"])
    start_backend()
    if about["gpu"]:
        load_gpus()
    trouble = ""
    try:
        dry = _DryModel([Path(path) for path in about["paths"]], gpu=about["gpu"])
    except (HeaderError, LlamaError, OSError) as error:
        trouble = str(error)
    for line in sys.stdin:
        try:
            _say({"error": trouble} if trouble else _answer(dry, json.loads(line)))
        except LlamaError as error:
            _say({"error": str(error)})


if __name__ == "__main__":
    main()
