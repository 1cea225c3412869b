"""A process of its own that computes by the code that `SLICEWISE_CPU_CODE` names: `python code_logits.py MODEL`.

It writes one JSON object: the name of the code that computes, how many CPUs llama.cpp has, what it says of their instructions, and logits
after a prompt that was read in one step and after a token by itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import llama_cpp.llama_cpp as api

from slicewise_worker.engine.backends import found_devices
from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.cpus import take_best_code
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend

PROMPT = tuple(range(260, 300))


def main() -> None:
    """Compute and write."""
    start_backend()
    model = Model(Path(sys.argv[1]), gpu=False)
    context = Context(model, ContextShape(tokens=256, batch=64, sequences=1, kv_type="f16", threads=1))
    batch, found = Batch(64), []
    for position, tokens in ((0, PROMPT), (len(PROMPT), PROMPT[:1])):
        batch.clear()
        batch.add(0, tokens, position, output=True)
        assert context.decode(batch) == 0
        found.append([float(number) for number in context.logits(-1)])
    said = api.llama_print_system_info().decode()
    print(json.dumps({"code": take_best_code(), "cpus": len(found_devices()), "said": said, "logits": found}))


if __name__ == "__main__":
    main()
