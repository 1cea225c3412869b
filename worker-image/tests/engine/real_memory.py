"""A process of its own that loads a model as a worker does and computes with it: `python real_memory.py MODEL`.

Each line on standard input is a shape, each line on standard output the memory in bytes that llama.cpp then has in truth, by the
count of the C library, beside the weights that are mapped from the file or laid out in another order.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.heap import heap_bytes
from slicewise_worker.engine.llama import Context, ContextShape, Model, forget_log, recent_log, start_backend

PYTHON = ("numpy.ctypeslib", "slicewise_worker.engine.constraint")
"""Loaded by a model or a context when they first need it. Python's modules are no memory of llama.cpp, and take more where no bytecode
of them is stored yet: 170 KB, which would be counted against the dry run."""

_REPACKED = re.compile(r"CPU_REPACK model buffer size = +([\d.]+) MiB")


def compute(context: Context, shape: ContextShape) -> None:
    """Take the steps that a worker takes: full of prompts, with and without an output, and a token of each sequence."""
    batch = Batch(shape.batch)
    room = shape.tokens // shape.sequences if shape.pooling is None else shape.tokens
    used = dict.fromkeys(range(shape.sequences), 0)

    def step(sequences: int, tokens: int, *, output: bool) -> None:
        batch.clear()
        for sequence in range(sequences):
            count = min(tokens, room - used[sequence], shape.batch - batch.size)
            if count > 0:
                batch.add(sequence, tuple([5] * count), used[sequence], output=output)
                used[sequence] += count
        if shape.pooling is not None:
            batch._output[: batch.size] = 1
        if batch.size and (status := context.decode(batch)):
            raise SystemExit(f"llama_decode: {status}, {recent_log()[-3:]}")

    if shape.pooling is not None:
        # A text is read as a whole: one that is as long as may be.
        step(1, shape.batch, output=True)
        return
    step(1, shape.batch, output=False)
    if shape.flash_attention == "Disabled":
        while used[0] + shape.batch <= room:
            step(1, shape.batch, output=False)
    step(1, shape.batch, output=True)
    each = max(1, shape.batch // shape.sequences)
    step(shape.sequences, each, output=True)
    step(shape.sequences, 1, output=True)
    step(shape.sequences, 1, output=True)


def main() -> None:
    """Answer the shapes on standard input."""
    start_backend()
    for module in PYTHON:
        import_module(module)
    before = heap_bytes()
    model = Model(Path(sys.argv[1]), gpu=False)
    repacked = sum(round(float(found[1]) * 2**20) for line in recent_log() if (found := _REPACKED.search(line)))
    for line in sys.stdin:
        shape = ContextShape(**json.loads(line))
        forget_log()
        context = Context(model, shape)
        compute(context, shape)
        print(heap_bytes() - before - repacked, flush=True)
        context.close()


if __name__ == "__main__":
    main()
