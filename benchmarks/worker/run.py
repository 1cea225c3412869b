"""make bench-worker: what a JSON schema costs a token, beside the same streams without one, in the same run.

Sizes come from the environment: BENCH_MODEL (shaped; a made model), BENCH_STREAMS (16), BENCH_TOKENS (24, of each stream), BENCH_ROUNDS
(5) and BENCH_THREADS (1).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from constrained import Sizes, constrained
from report import Report

MAKE = Path(__file__).parents[2] / "worker-image" / "models" / "make.py"


def main() -> None:
    """Measure and print."""
    report, started = Report("worker"), time.monotonic()
    name = os.environ.get("BENCH_MODEL", "shaped")
    made = subprocess.run([sys.executable, str(MAKE), name], check=True, capture_output=True, text=True)
    sizes = Sizes(
        streams=int(os.environ.get("BENCH_STREAMS", "16")),
        tokens=int(os.environ.get("BENCH_TOKENS", "24")),
        rounds=int(os.environ.get("BENCH_ROUNDS", "5")),
        threads=int(os.environ.get("BENCH_THREADS", "1")),
    )
    constrained(report, Path(made.stdout.strip()), sizes)
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


if __name__ == "__main__":
    main()
