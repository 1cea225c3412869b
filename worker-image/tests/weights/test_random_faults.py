"""Hundreds of faults drawn at random: what is published is always the right file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fetching import KIB, Fetcher, gguf
from sources.web import Fault, WebServer

from slicewise_worker.weights.errors import FetchError

SIZE = 256 * KIB
RUNS, FAULTS = 12, 5
QUICK = {"checkpoint_bytes": 100 * KIB, "digest_attempts": 4, "max_backoff_seconds": 0.002}


def draw(random_: random.Random) -> Fault:
    """One fault, anywhere in the file."""
    at = random_.randrange(SIZE)
    return random_.choice(
        [
            Fault(cut_at=at),
            Fault(cut_at=at, flip_at=random_.randrange(SIZE)),
            Fault(flip_at=at),
            Fault(end_at=at),
            Fault(end_at=at, no_length=True),
            Fault(ignore_range=True, cut_at=at),
            Fault(claimed_length=at),
            Fault(claimed_length=SIZE + at),
            Fault(wrong_start=at),
            Fault(status=random_.choice([206, 416, 429, 500, 503])),
            Fault(status=302, headers={"Location": "/elsewhere"}),
        ]
    )


@pytest.mark.parametrize("seed", range(8))
async def test_no_fault_publishes_a_wrong_file(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    published = 0
    async with WebServer(gguf(SIZE)).serving() as server:
        for run in range(RUNS):
            fetcher = Fetcher(tmp_path / str(run))
            server.etag = random_.choice([None, '"strong"', 'W/"weak"'])
            server.faults = [draw(random_) for _ in range(FAULTS)]
            try:
                result = await fetcher.fetch(
                    server.url, digest=server.digest, checkpoint_bytes=16 * KIB, digest_attempts=4
                )
            except FetchError:
                assert list(fetcher.cache.glob("*/model.gguf")) == []
            else:
                published += 1
                assert fetcher.content(result) == server.content
    assert published
