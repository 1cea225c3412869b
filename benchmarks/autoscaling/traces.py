"""Requests over one hour: synthetic ones, and recorded ones from a file. Seeded: the same numbers on every machine."""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

HOUR: Final = 3600.0
MEAN_SECONDS: Final = 6.0
"""Mean time that a synthetic request takes in a slot."""
_SPREAD: Final = 0.6
"""Sigma of its logarithm."""
READ_TOKENS: Final = 2000.0
WRITE_TOKENS: Final = 25.0
"""Tokens a second that one sequence of a worker reads and writes, for recorded requests."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    at: float
    seconds: float
    """In a slot."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of their arrival."""

    name: str
    requests: tuple[Request, ...]
    note: str = ""


def synthetic() -> tuple[Trace, ...]:
    """Return the five synthetic traces."""
    return (
        _poisson("square", lambda now: 40.0 if now % 900 < 300 else 2.0),
        _poisson("diurnal", lambda now: 22.0 - 18.0 * math.cos(2 * math.pi * now / HOUR)),
        _bursts(),
        _poisson("ramp", lambda now: 2.0 + 38.0 * now / HOUR),
        Trace("rare", tuple(Request(150.0 + 300.0 * step, MEAN_SECONDS) for step in range(12))),
    )


def recorded(path: Path, thin: int) -> Trace:
    """Return one request of each `thin` of a file with arrival, prompt tokens and generated tokens."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rows = list(csv.DictReader(text.splitlines()))[::thin]
    start = _when(rows[0]["TIMESTAMP"])
    requests = tuple(
        Request(
            _when(row["TIMESTAMP"]) - start,
            int(row["ContextTokens"]) / READ_TOKENS + int(row["GeneratedTokens"]) / WRITE_TOKENS,
        )
        for row in rows
    )
    name = path.name.partition(".")[0].removeprefix("AzureLLMInferenceTrace_")
    digest = hashlib.sha256(raw).hexdigest()
    return Trace(name, requests, f"{path.name} sha256:{digest}, one of {thin} requests, {len(requests)}")


def _when(text: str) -> float:
    return datetime.fromisoformat(text[:26]).timestamp()


def _seconds(draw: random.Random) -> float:
    return draw.lognormvariate(math.log(MEAN_SECONDS) - _SPREAD**2 / 2, _SPREAD)


def _poisson(name: str, running: Callable[[float], float]) -> Trace:
    """`running`: the mean number of requests that run at a time, were there no waiting."""
    draw, now, most, found = random.Random(name), 0.0, 40.0 / MEAN_SECONDS, []
    while (now := now + draw.expovariate(most)) < HOUR:
        if draw.random() < running(now) / MEAN_SECONDS / most:
            found.append(Request(now, _seconds(draw)))
    return Trace(name, tuple(found))


def _bursts() -> Trace:
    """A little load, and six times an hour 60 requests within 10 seconds."""
    calm = _poisson("bursts", lambda _: 1.0)
    draw, found = random.Random("bursts too"), list(calm.requests)
    for burst in range(6):
        begin = 600.0 * burst + draw.uniform(200, 400)
        found += [Request(begin + draw.uniform(0, 10), _seconds(draw)) for _ in range(60)]
    return Trace("bursts", tuple(sorted(found, key=lambda request: request.at)))
