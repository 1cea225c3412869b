"""Many streams at once: the worker beside the servers of its peers, and the engine beside a bare loop of `llama_decode`.

Processor time of a step is what is compared: it hardly changes with what else runs on the machine. The ratio of the times by the clock is
told beside it.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final, Protocol

from floors import cpu_seconds
from large import worker
from peer_servers import Server, Streams, llama_server, stock_server
from report import Figure, Report, ratio_of_medians
from steps import deliver, refuse_broken
from streams import Load, seconds

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Event, Generation, Limits, Piece, Sampling

_CHUNK: Final = 64
_WORDS: Final = ("wind", "rain", "snow", "heat", "frost", "storm", "cloud", "sun")


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
    for peer in _PEERS:
        _worker_beside(report, path, streams, peer)


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
    return tuple(tuple(dice.randrange(300, 500) for _ in range(streams.prompt)) for _ in range(streams.count))


def _loop(context: Context, prompts: tuple[tuple[int, ...], ...], tokens: int) -> None:
    """Evaluate `tokens` made-up tokens after each of `prompts`."""
    batch = Batch(context.shape.batch)
    for slot, prompt in enumerate(prompts):
        context.forget(slot)
        batch.clear()
        batch.add(slot, prompt, 0, output=True)
        _check(context.decode(batch))
    length = len(prompts[0])
    for position in range(length, length + tokens - 1):
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


class _Runs(Protocol):
    """A server: the worker's or a peer's."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Peer:
    name: str
    goal: float
    run: Callable[[Path, Streams], AbstractContextManager[Server]]


_PEERS: Final = (_Peer("llama_server", 1.0, llama_server), _Peer("stock_python_server", 2.0, stock_server))


def _worker_beside(report: Report, path: Path, streams: Streams, peer: _Peer) -> None:
    given = {"context_tokens": streams.context, "parallel_sequences": streams.count, "threads": streams.threads}
    with (
        worker(path, program=["-m", "slicewise_worker"], default_answer_seconds=3600, **given) as ours,
        peer.run(path, streams) as theirs,
    ):
        for temperature in (0.0, 1.0):
            took = _in_turn((ours, theirs), streams, temperature)
            note = f"{path.name}, {streams.count} streams of {streams.tokens} tokens, temperature {temperature:g}, {streams.rounds} rounds"
            for kind in ("processor", "clock"):
                mine, other = (getattr(each, kind) for each in took)
                value, interval = ratio_of_medians(other, mine)
                report.add(
                    Figure(
                        f"tokens_by_{kind}_beside_{peer.name}_at_{temperature:g}",
                        value,
                        "×",
                        peer.goal,
                        at_least=True,
                        peer=f"{peer.name.replace('_', ' ')}, s a step",
                        peer_value=statistics.median(other),
                        ci=interval,
                        note=note,
                    )
                )


def _in_turn(servers: Sequence[_Runs], streams: Streams, temperature: float) -> tuple[_Took, ...]:
    """Return what a step of all streams took each of two servers, after a round that warms them."""
    took = tuple(_Took() for _ in servers)
    dice = random.Random(2)
    for number in range(streams.rounds + 1):
        turn = list(zip(servers, took, strict=True))
        for one, noted in reversed(turn) if number % 2 else turn:
            load = Load(_texts(dice, streams), streams.tokens if number else 4, temperature)
            before = cpu_seconds(one.pid)
            clock = seconds(one.url, load)
            if number:
                noted.clock.append(clock / streams.tokens)
                noted.processor.append((cpu_seconds(one.pid) - before) / streams.tokens)
    return took


def _texts(dice: random.Random, streams: Streams) -> tuple[str, ...]:
    """Return prompts as text: llama-cpp-python's server takes no tokens."""
    return tuple(" ".join(dice.choices(_WORDS, k=streams.prompt // 4)) for _ in range(streams.count))
