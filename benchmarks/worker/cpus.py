"""The codes for newer processors beside the one that is built in: prompts, and tokens one by one, in processes that take turns."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from report import Figure, Report, ratio_of_medians

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.cpus import BUILT_IN, VARIABLE, found_codes, kernel_flags
from slicewise_worker.engine.llama_log import collect_log

_PROMPT: Final = 256
_TOKENS: Final = 24
# Another library than those of the worker, as one compiled for this very machine, is put in their folder's place.
_PROGRAM: Final = f"""
import json, sys, time
from pathlib import Path
from slicewise_worker.engine import cpus
if Path(sys.argv[3]).is_file():
    cpus.found_codes = lambda: [cpus.Code("given", Path(sys.argv[3]), 1)]
from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
start_backend()
model, threads = Model(Path(sys.argv[1]), gpu=False), int(sys.argv[2])
context = Context(model, ContextShape(tokens=1024, batch=128, sequences=1, kv_type="f16", threads=threads))
batch, dice = Batch(128), [300 + 7 * number % 500 for number in range({_PROMPT})]

def step(position, tokens):
    batch.clear()
    batch.add(0, tuple(tokens), position, output=True)
    assert context.decode(batch) == 0
    context.logits(-1)

def timed(work):
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor

step(0, dice[:8])
context.forget(0)
prompt = timed(lambda: [step(at, dice[at:at + 128]) for at in range(0, {_PROMPT}, 128)])
tokens = timed(lambda: [step({_PROMPT} + at, dice[:1]) for at in range({_TOKENS})])
print(json.dumps({{"code": cpus.take_best_code(), "prompt": prompt, "tokens": tokens}}))
"""


def cpus(report: Report, path: Path, rounds: int, threads: int) -> None:
    """Add how many times as fast each code is that runs here, for `path` and for the same model with four bits a weight.

    `BENCH_CODE`: another library to compare, as one of llama.cpp compiled for this machine with `-march=native`.
    """
    collect_log()
    flags = kernel_flags()
    codes = [code.name for code in found_codes() if code.runs(flags)] + list(
        filter(None, [os.environ.get("BENCH_CODE")])
    )
    with tempfile.TemporaryDirectory() as folder:
        for model in (path, _four_bits(path, Path(folder) / f"{path.stem}-q4_0.gguf")):
            took: dict[str, list[dict[str, list[float]]]] = {code: [] for code in [BUILT_IN, *codes]}
            for _ in range(rounds):
                for code, found in took.items():
                    found.append(_run(model, threads, code))
            for code in codes:
                for what, index in (("prompt", 0), ("prompt", 1), ("tokens", 0), ("tokens", 1)):
                    mine, peer = ([one[what][index] for one in took[which]] for which in (code, BUILT_IN))
                    value, interval = ratio_of_medians(peer, mine)
                    name = f"{what}_by_{('clock', 'processor')[index]}_with_{Path(code).stem}"
                    note = f"{model.name}, {threads} threads, {rounds} rounds, in turn"
                    report.add(
                        Figure(name, value, "×", peer="built-in, s", peer_value=min(peer), ci=interval, note=note)
                    )


def _run(model: Path, threads: int, code: str) -> dict[str, list[float]]:
    given = Path(code).is_file()
    command = [sys.executable, "-c", _PROGRAM, str(model), str(threads), code if given else ""]
    environment = os.environ | {VARIABLE: "" if given else code}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    if found["code"] != ("given" if given else code):
        raise RuntimeError(f"{code} was asked for and did not compute")
    return {what: found[what] for what in ("prompt", "tokens")}


def _four_bits(model: Path, path: Path) -> Path:
    given = api.llama_model_quantize_default_params()
    given.ftype, given.allow_requantize = api.LLAMA_FTYPE_MOSTLY_Q4_0, True
    if api.llama_model_quantize(str(model).encode(), str(path).encode(), ctypes.byref(given)):
        raise RuntimeError(f"{model} could not be quantised")
    return path
