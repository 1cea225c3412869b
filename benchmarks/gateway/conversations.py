"""Conversations over three real workers: prompt tokens that are read, and the wait for the first token, by how requests find a worker.

In turn: `routing: Conversation`, the default (the worker with least to do), and no gateway but a client that keeps to one worker for
each conversation. The last is the floor, as no request can find more in a cache. Each has conversations of its own, so none finds what
another left.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from benchmarks.worker.large import worker
from made_models import made
from report import Figure, Report, ratio_of_medians
from rig.envoy import CHAT, STABLE, route, running

from slicewise.envoy import GatewayModel

WORKERS: Final = 3
_CONVERSATIONS, _TURNS = 9, 8
_THOUGHT: Final = 2.0
"""Seconds that a user thinks between two turns, at most. Without it the worker with least to do is the one that has just answered."""
_WORDS: Final = 30
"""Of what a user says in a turn; the instructions have twice as many, the same for all."""
_TOKENS: Final = 12
"""Of an answer."""
_SHAPE: Final = {"context_tokens": 2048, "parallel_sequences": 6}
_VOCABULARY: Final = ("river", "stone", "window", "garden", "paper", "morning", "letter", "market", "winter", "road")
Choose = Callable[[int], str]
"""Returns the address to ask for the conversation of that number."""


@dataclass(slots=True)
class _Way:
    """What came of one way to find a worker, one entry a round."""

    read: list[float] = field(default_factory=list)
    """Prompt tokens that were not in a cache."""
    first: list[float] = field(default_factory=list)
    """Median seconds to the first token, second turns and later."""


@dataclass(slots=True)
class _Round:
    read: int = 0
    first: list[float] = field(default_factory=list)


async def conversations(report: Report, directory: Path, rounds: int) -> None:
    """Hold the same number of conversations each way, in turn."""
    found = {"conversation": _Way(), "least_request": _Way(), "one_worker": _Way()}
    path = await asyncio.to_thread(made, "light")
    program = ("-m", "slicewise_worker")
    with ExitStack() as stack:
        workers = [_Place(stack.enter_context(worker(path, program, **_SHAPE)).url) for _ in range(WORKERS)]
        for number in range(rounds):
            for way, result in found.items():
                async with _asked(directory / f"{way}-{number}", way, workers) as choose:
                    held = await _hold(choose, f"{way} {number}")
                result.read.append(held.read)
                result.first.append(statistics.median(held.first))
    _report(
        report,
        found,
        f"{_CONVERSATIONS} conversations of {_TURNS} turns at the same time, {WORKERS} workers, {rounds} rounds in turn",
    )


def _report(report: Report, found: dict[str, _Way], note: str) -> None:
    ours = found["conversation"]
    for name, peer, goal, at_least in (
        ("least_request", "the default, tokens", 2.0, True),
        ("one_worker", "a client that keeps to one worker, tokens", 1.1, False),
    ):
        pair = (found[name].read, ours.read) if at_least else (ours.read, found[name].read)
        value, interval = ratio_of_medians(*pair)
        saved = "fewer_tokens_read_than_by" if at_least else "tokens_read_beside"
        report.add(
            Figure(
                f"conversations_{saved}_{name}",
                value,
                "×",
                goal,
                at_least=at_least,
                peer=peer,
                peer_value=statistics.median(found[name].read),
                ci=interval,
                note=note,
            )
        )
        value, interval = ratio_of_medians(ours.first, found[name].first)
        report.add(
            Figure(
                f"conversations_first_token_beside_{name}",
                value,
                "×",
                peer=f"{peer.removesuffix(', tokens')}, s",
                peer_value=statistics.median(found[name].first),
                ci=interval,
                note="median of second turns and later",
            )
        )


class _Place:
    """A worker as the rig of the tests wants it."""

    ready = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.address, self.port = str(urlsplit(url).hostname), urlsplit(url).port
        self.name = f"w-{self.port}"


@asynccontextmanager
async def _asked(directory: Path, way: str, workers: Sequence[_Place]) -> AsyncIterator[Choose]:
    if way == "one_worker":
        yield lambda number: workers[number % len(workers)].url
        return
    directory.mkdir()
    model = GatewayModel("chat", (route(STABLE),), affinity=way == "conversation")
    services: dict[str, Any] = {f"chat-{STABLE}": workers}
    async with running(directory, model, services) as rig:
        yield lambda _: rig.url


async def _hold(choose: Choose, salt: str) -> _Round:
    """Hold all conversations; `salt`: what makes their texts differ from those of other rounds."""
    held = _Round()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:
        talks = (_converse(session, choose(n), f"{salt} {n}", held) for n in range(_CONVERSATIONS))
        await asyncio.gather(*talks)
    return held


async def _converse(session: aiohttp.ClientSession, url: str, salt: str, held: _Round) -> None:
    dice = random.Random(salt)
    said = [{"role": "system", "content": _text(random.Random(salt.rpartition(" ")[0]), 2 * _WORDS)}]
    for turn in range(_TURNS):
        said.append({"role": "user", "content": _text(dice, _WORDS)})
        text, seconds, usage = await _answer(session, url, said)
        held.read += usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
        if turn:
            held.first.append(seconds)
        said.append({"role": "assistant", "content": text})
        await asyncio.sleep(dice.uniform(0, _THOUGHT))


async def _answer(
    session: aiohttp.ClientSession, url: str, said: Sequence[dict[str, str]]
) -> tuple[str, float, dict[str, Any]]:
    """Return the text, the seconds to its first piece, and the usage."""
    body = {
        "model": "chat",
        "messages": list(said),
        "max_tokens": _TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    text, first, usage, began = "", 0.0, None, time.perf_counter()
    async with session.post(url + CHAT, json=body) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {(await answer.text())[:500]}")
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line.removeprefix(b"data: "))
            usage = event.get("usage") or usage
            piece = "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            if piece and not text:
                first = time.perf_counter() - began
            text += piece
    if usage is None:
        raise RuntimeError("a stream ended without its usage")
    return text, first or time.perf_counter() - began, usage


def _text(dice: random.Random, words: int) -> str:
    return " ".join(f"{dice.choice(_VOCABULARY)}{dice.randrange(100)}" for _ in range(words))
