"""make bench-worker: what a JSON schema costs a token, what requests of 1 MiB hold up, how soon arguments of calls arrive,
what a light tenant waits beside a heavy one, what is kept in the cache saves and costs, streams beside llama.cpp's server,
a long prompt beside answers, how long a start takes, and what code for newer processors brings.

Sizes come from the environment: BENCH_MODEL (shaped; a made model), BENCH_STREAMS (16), BENCH_TOKENS (24, of each stream), BENCH_ROUNDS
(5), BENCH_THREADS (1), BENCH_STEPS (6000, of tenants), and BENCH_ONLY (constrained,large,arguments,tenants,prefix,peers,
long-prompt,start,cpus), BENCH_GAP (0.05, seconds).
"""

from __future__ import annotations

import os
import time

from constrained import Sizes, constrained
from cpus import cpus
from large import arguments, large
from long_prompt import long_prompt
from made_models import made
from peer_servers import Streams
from peers import peers
from prefix import prefix
from report import Report
from start import start
from tenants import tenants


def main() -> None:
    """Measure and print."""
    report, started = Report("worker"), time.monotonic()
    name = os.environ.get("BENCH_MODEL", "shaped")
    sizes = Sizes(
        streams=int(os.environ.get("BENCH_STREAMS", "16")),
        tokens=int(os.environ.get("BENCH_TOKENS", "24")),
        rounds=int(os.environ.get("BENCH_ROUNDS", "5")),
        threads=int(os.environ.get("BENCH_THREADS", "1")),
    )
    only = os.environ.get(
        "BENCH_ONLY", "constrained,large,arguments,tenants,prefix,peers,long-prompt,start,cpus"
    ).split(",")
    if "constrained" in only:
        constrained(report, made(name), sizes)
    if "large" in only:
        large(report, made("tiny"), sizes.rounds)
    if "arguments" in only:
        arguments(report, made("caller"), sizes.rounds)
    if "tenants" in only:
        tenants(report, made("tiny"), int(os.environ.get("BENCH_STEPS", "6000")))
    if "prefix" in only:
        prefix(report, made(name), sizes.rounds, sizes.tokens)
    if "peers" in only:
        light = made(os.environ.get("BENCH_MODEL", "light"))
        peers(report, light, Streams(sizes.streams, sizes.tokens, sizes.rounds, sizes.threads))
    if "long-prompt" in only:
        long_prompt(
            report,
            made(os.environ.get("BENCH_MODEL", "light")),
            sizes.rounds,
            sizes.threads,
            float(os.environ.get("BENCH_GAP", "0.05")),
        )
    if "start" in only:
        start(report, made(name), sizes.rounds, sizes.threads)
    if "cpus" in only:
        cpus(report, made(name), sizes.rounds, sizes.threads)
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


if __name__ == "__main__":
    main()
