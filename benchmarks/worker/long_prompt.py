"""How long running answers wait for a token while a long prompt is read, and how long that takes: the worker beside llama.cpp's server."""

from __future__ import annotations

import random
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from large import worker
from peer_servers import Streams, llama_server
from report import Figure, Report, ratio_of_medians
from streams import Load, request

_ANSWERS: Final = 4
_PROMPT: Final = 1024
_CONTEXT: Final = 2048
_PATIENCE: Final = 600.0
_BEFORE: Final = 8
"""Pieces of each answer that come before the prompt is sent."""


@dataclass(slots=True)
class _Took:
    gap: list[float] = field(default_factory=list)
    prompt: list[float] = field(default_factory=list)


def long_prompt(report: Report, path: Path, rounds: int, threads: int, gap: float) -> None:
    """Add both ratios; the worker's `maxTokenGap` is `gap` seconds, and llama-server has its defaults."""
    streams = Streams(_ANSWERS + 1, _CONTEXT - 16, rounds, threads)
    given = {"context_tokens": _CONTEXT, "parallel_sequences": streams.count, "threads": threads}
    dice = random.Random(3)
    with (
        worker(
            path, ["-m", "slicewise_worker"], default_answer_seconds=3600, max_token_gap_seconds=gap, **given
        ) as ours,
        llama_server(path, streams) as theirs,
    ):
        took = {ours.url: _Took(), theirs.url: _Took()}
        for number in range(rounds + 1):
            for url in sorted(took, reverse=bool(number % 2)):
                worst, seconds = _read_beside_answers(url, dice)
                if number:
                    took[url].gap.append(worst)
                    took[url].prompt.append(seconds)
        mine, peer = took[ours.url], took[theirs.url]
    note = f"{path.name}, {_PROMPT} tokens beside {_ANSWERS} answers, maxTokenGap {gap:g} s, {threads} threads, {rounds} rounds, in turn"
    for name, ours_took, peers_took, goal in (
        ("worst_gap_beside_llama_server", mine.gap, peer.gap, 1 / 20),
        ("prompt_time_beside_llama_server", mine.prompt, peer.prompt, 1.15),
    ):
        value, interval = ratio_of_medians(ours_took, peers_took)
        told = f"{note}; the worker {statistics.median(ours_took):.3f} s"
        beside = statistics.median(peers_took)
        report.add(Figure(name, value, "×", goal, peer="llama-server, s", peer_value=beside, ci=interval, note=told))


def _read_beside_answers(url: str, dice: random.Random) -> tuple[float, float]:
    """Return the longest time without a piece of one of the answers while a prompt is read, and how long that takes."""
    with _streams() as selector:
        for _ in range(_ANSWERS):
            _open(selector, url, tuple(dice.randrange(300, 500) for _ in range(16)), _CONTEXT - 32)
        _until(selector, lambda: all(len(key.data) >= _BEFORE for key in selector.get_map().values()))
        answers = [key.data for key in selector.get_map().values()]
        begun = time.monotonic()
        reader = _open(selector, url, tuple(dice.randrange(300, 30_000) for _ in range(_PROMPT)), 1)
        _until(selector, lambda: len(reader) > 0)
        ended = time.monotonic()
    return max(_longest(come, begun, ended) for come in answers), ended - begun


def _longest(come: list[float], begun: float, ended: float) -> float:
    """Return the longest time between two of `come` that overlaps with the reading."""
    moments = [*come, ended]
    return max(after - before for before, after in pairwise(moments) if after > begun)


@contextmanager
def _streams() -> Iterator[selectors.DefaultSelector]:
    """Give up all streams at the end, and let the server do so, too."""
    with selectors.DefaultSelector() as selector:
        yield selector
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    time.sleep(0.5)


def _open(selector: selectors.DefaultSelector, url: str, prompt: tuple[int, ...], tokens: int) -> list[float]:
    """Ask for an answer, and return where the moments are written at which a part of it came."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 80), timeout=_PATIENCE)
    connection.sendall(request(prompt, Load((prompt,), tokens)))
    come: list[float] = []
    selector.register(connection, selectors.EVENT_READ, come)
    return come


def _until(selector: selectors.DefaultSelector, enough: Callable[[], bool]) -> None:
    """Write down what comes until it is enough."""
    while not enough():
        ready = selector.select(_PATIENCE)
        if not ready:
            raise RuntimeError("no stream went on")
        for key, _ in ready:
            assert isinstance(key.fileobj, socket.socket)
            piece = key.fileobj.recv(1 << 16)
            if not piece:
                raise RuntimeError("a stream ended before the prompt was read")
            if b"data: " in piece:
                key.data.append(time.monotonic())
