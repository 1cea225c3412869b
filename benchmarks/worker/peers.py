"""Many streams at once: the worker beside llama.cpp's own server, and the engine beside a bare loop of `llama_decode`.

Processor time of a step is what is compared: it hardly changes with what else runs on the machine. The ratio of the times by the clock is
told beside it. llama-server runs with the very libraries that the worker has (`llama-server.sh`), with as many slots and as much context.
"""

from __future__ import annotations

import atexit
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from math import inf
from pathlib import Path
from typing import Final

from floors import cpu_seconds
from large import until_ready, worker
from report import Figure, Report, ratio_of_medians
from servers.processes import free_port
from steps import deliver, refuse_broken
from streams import Load, seconds

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.binding import api
from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.cpus import VARIABLE, best, found_codes, kernel_flags
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Event, Generation, Limits, Piece, Sampling

_PROMPT: Final = 16
_CHUNK: Final = 64
_SERVER: Final = Path(__file__).with_name("llama-server.sh")


@dataclass(frozen=True, slots=True)
class Streams:
    """How many there are, the tokens of each answer, and on how many threads."""

    count: int
    tokens: int
    rounds: int
    threads: int
    prompt: int = _PROMPT
    """Tokens of the longest prompt."""

    @property
    def context(self) -> int:
        """Tokens of one sequence."""
        return max(256, self.prompt + self.tokens)


class _Timed(Context):
    """A context that takes the time of steps in which every stream gets a token, and of what is done between two of them."""

    streams = 0

    def __init__(self, model: Model, shape: ContextShape) -> None:
        super().__init__(model, shape)
        self.within: list[float] = []
        self.between: list[float] = []
        self._ended: float | None = None

    def decode(self, batch: Batch) -> int:
        begun = time.thread_time()
        whole = batch.size == self.shape.sequences
        if whole and self._ended is not None:
            self.between.append(begun - self._ended)
        result = super().decode(batch)
        self._ended = time.thread_time() if whole else None
        if whole:
            self.within.append(time.thread_time() - begun)
        return result


@dataclass(slots=True)
class _Took:
    """Seconds a step, by the clock and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def peers(report: Report, path: Path, streams: Streams) -> None:
    """Add what a step takes beside the peers, and the share of it that is not llama.cpp's."""
    _engine_beside_loop(report, path, streams)
    _worker_beside_server(report, path, streams)


def _engine_beside_loop(report: Report, path: Path, streams: Streams) -> None:
    start_backend()
    model = Model(path, gpu=False)
    shape = ContextShape(streams.context * streams.count, _CHUNK + streams.count, streams.count, "f16", streams.threads)
    bare, timed = _Timed(model, shape), _Timed(model, shape)
    limits = Limits(streams.context, streams.count, _CHUNK, max_queue=streams.count)
    engine = Engine(model, timed, limits, deliver)
    engine.start()
    dice = random.Random(1)
    for _ in range(streams.rounds):
        _loop(bare, _prompts(dice, streams), streams.tokens)
        _generate(engine, _prompts(dice, streams), streams.tokens)
    engine.stop()
    bare.close()
    note = f"{path.name}, {streams.count} streams of {streams.tokens} tokens, {streams.rounds} rounds, processor time"
    # A loop without a token to choose: its tokens are made up.
    step = statistics.median(timed.within) + statistics.median(timed.between)
    value, interval = ratio_of_medians(
        bare.within, [one + step - statistics.median(timed.within) for one in timed.within]
    )
    report.add(
        Figure(
            "engine_beside_bare_loop",
            value,
            "×",
            0.95,
            at_least=True,
            peer="llama_decode, s",
            peer_value=statistics.median(bare.within),
            ci=interval,
            note=note,
        )
    )
    share = statistics.median(timed.between) / step
    report.add(Figure("share_of_a_step_beside_llama", share * 100, "%", 5.0, note=note))


def _prompts(dice: random.Random, streams: Streams) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(dice.randrange(300, 500) for _ in range(_PROMPT)) for _ in range(streams.count))


def _loop(context: Context, prompts: tuple[tuple[int, ...], ...], tokens: int) -> None:
    """Evaluate `tokens` made-up tokens after each of `prompts`."""
    batch = Batch(context.shape.batch)
    for slot, prompt in enumerate(prompts):
        context.forget(slot)
        batch.clear()
        batch.add(slot, prompt, 0, output=True)
        _check(context.decode(batch))
    for position in range(_PROMPT, _PROMPT + tokens - 1):
        batch.clear()
        for slot, prompt in enumerate(prompts):
            batch.add(slot, prompt[:1], position, output=True)
        _check(context.decode(batch))


def _check(result: int) -> None:
    if result:
        raise RuntimeError(f"llama_decode returned {result}")


def _generate(engine: Engine, prompts: tuple[tuple[int, ...], ...], tokens: int) -> None:
    """Wait for answers of `tokens` to all of `prompts`."""
    ended, left = threading.Event(), [len(prompts)]

    def on_event(event: Event) -> None:
        refuse_broken(event)
        if not isinstance(event, Piece):
            left[0] -= 1
            if not left[0]:
                ended.set()

    asked = [Generation(prompt, tokens, Sampling(temperature=0)) for prompt in prompts]
    engine.submit(asked, [on_event] * len(asked), inf, Caller(str(time.monotonic())))
    ended.wait()


def _worker_beside_server(report: Report, path: Path, streams: Streams) -> None:
    given = {"context_tokens": streams.context, "parallel_sequences": streams.count, "threads": streams.threads}
    with (
        worker(path, program=["-m", "slicewise_worker"], default_answer_seconds=3600, **given) as ours,
        llama_server(path, streams) as theirs,
    ):
        for temperature in (0.0, 1.0):
            took = {ours: _Took(), theirs: _Took()}
            dice = random.Random(2)
            for number in range(streams.rounds + 1):
                for one in sorted(took, key=lambda one: one.pid, reverse=bool(number % 2)):
                    load = Load(_prompts(dice, streams), streams.tokens if number else 4, temperature)
                    before = cpu_seconds(one.pid)
                    clock = seconds(one.url, load)
                    if number:
                        took[one].clock.append(clock / streams.tokens)
                        took[one].processor.append((cpu_seconds(one.pid) - before) / streams.tokens)
            note = f"{path.name}, {streams.count} streams of {streams.tokens} tokens, temperature {temperature:g}, {streams.rounds} rounds"
            for kind in ("processor", "clock"):
                peer, mine = getattr(took[theirs], kind), getattr(took[ours], kind)
                value, interval = ratio_of_medians(peer, mine)
                name = f"tokens_by_{kind}_beside_llama_server_at_{temperature:g}"
                report.add(
                    Figure(
                        name,
                        value,
                        "×",
                        1.0,
                        at_least=True,
                        peer="llama-server, s a step",
                        peer_value=statistics.median(peer),
                        ci=interval,
                        note=note,
                    )
                )


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    pid: int


def _device(program: str, environment: Mapping[str, str]) -> str:
    """Return llama-server's name of the first GPU; raises `RuntimeError` where it has none."""
    said = subprocess.run(
        [program, "--list-devices"], env=environment, check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"^ +(\S+): ", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"llama-server finds no GPU: {said.strip()}")
    return found[1]


@cache
def _libraries() -> Path:
    """Return a folder with the worker's libraries, and the code that it takes for this CPU under the name that llama-server knows."""
    libraries = Path(api.__file__).parent / "lib"
    code = best(found_codes(), kernel_flags(), os.environ.get(VARIABLE, ""))
    if code is None:
        return libraries
    folder = Path(tempfile.mkdtemp(prefix="llama-server-"))
    atexit.register(shutil.rmtree, folder)
    for file in libraries.glob("lib*.so*"):
        shutil.copy(code.file if file.name.startswith("libggml-cpu") else file, folder / file.name)
    return folder


@contextmanager
def llama_server(path: Path, streams: Streams, gpu: Path | None = None) -> Iterator[_Server]:
    """Run llama.cpp's own server on the worker's libraries; `gpu`: a backend that is to compute all layers."""
    libraries = _libraries()
    program = (
        os.environ.get("BENCH_LLAMA_SERVER")
        or subprocess.run([str(_SERVER), str(libraries)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    )
    port = free_port()
    asked = {
        "-m": path,
        "--port": port,
        "-np": streams.count,
        "-c": streams.context * streams.count,
        "-t": streams.threads,
    }
    backend = {}
    if gpu is not None:
        backend["GGML_BACKEND_PATH"] = str(gpu)
        # Only where a device is named does the server load that file: without this it computes on the CPU, whatever -ngl says.
        asked |= {"-ngl": 999, "--device": _device(program, os.environ | {"LD_LIBRARY_PATH": str(libraries)} | backend)}
    process = subprocess.Popen(
        [program, *(str(part) for pair in asked.items() for part in pair), "--cache-ram", "0"],
        env=os.environ | {"LD_LIBRARY_PATH": str(libraries)} | backend,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_ready(f"http://127.0.0.1:{port}/health", process)
        yield _Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.kill()
        process.wait()
