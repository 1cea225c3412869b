"""A worker on a GPU beside llama.cpp's own server on the same device and libraries: tokens a second, and the time to first token.

    python benchmarks/worker/gpu.py MODEL BACKEND           # a part of `make test-gpu`; BACKEND is the loadable file of llama.cpp

Times are by the clock: on a GPU the processor waits. Both serve in turn, each alone on the device while it is asked.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
from pathlib import Path
from typing import Final

from large import worker
from peer_servers import Streams, llama_server
from report import ratio_of_medians
from streams import Load, seconds

_LONG: Final = 512
"""Tokens of the prompt whose first token is waited for."""


def _loads(dice: random.Random, streams: Streams) -> dict[str, Load]:
    def prompts(count: int, length: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(dice.randrange(300, 500) for _ in range(length)) for _ in range(count))

    return {"tokens/s": Load(prompts(streams.count, 16), streams.tokens), "first token, ms": Load(prompts(1, _LONG), 1)}


def figures(path: Path, backend: Path, streams: Streams) -> list[str]:
    """Return a line for each figure: the median of the worker, that of llama-server, and the ratio with its interval."""
    given = {
        "context_tokens": streams.context,
        "parallel_sequences": streams.count,
        "threads": streams.threads,
        "device": "gpu",
    }
    took: dict[tuple[str, str], list[float]] = {}
    with (
        worker(
            path, program=["-m", "slicewise_worker"], default_answer_seconds=3600, stall_after_seconds=3600, **given
        ) as ours,
        llama_server(path, streams, backend) as theirs,
    ):
        dice = random.Random(3)
        for number in range(streams.rounds + 1):
            for name, load in _loads(dice, streams).items():
                pair = [("ours", ours.url), ("theirs", theirs.url)]
                for who, url in reversed(pair) if number % 2 else pair:
                    clock = seconds(url, load)
                    if number:
                        took.setdefault((name, who), []).append(
                            load.generated / clock if name == "tokens/s" else clock * 1000
                        )
    lines = []
    for name in ("tokens/s", "first token, ms"):
        mine, peer = took[name, "ours"], took[name, "theirs"]
        ratio, interval = ratio_of_medians(mine, peer)
        within = f" ({interval[0]:.2f} … {interval[1]:.2f})" if interval else ""
        lines.append(
            f"{name}: {statistics.median(mine):.1f}, llama-server {statistics.median(peer):.1f}, ratio {ratio:.2f}{within}"
        )
    return lines


def main() -> None:
    """Print the figures."""
    count, tokens, rounds = (
        int(os.environ.get(f"BENCH_{name}", default))
        for name, default in (("STREAMS", 16), ("TOKENS", 128), ("ROUNDS", 5))
    )
    streams = Streams(count, tokens, rounds, threads=1, prompt=_LONG)
    print("\n".join(figures(Path(sys.argv[1]), Path(sys.argv[2]), streams)))


if __name__ == "__main__":
    main()
