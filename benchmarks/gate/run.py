"""`make bench-gate`: how well the canary's gate decides, as JSON lines and as tables. Exits 0 whether or not goals are met.

Seeded: the same numbers on every machine with the same numpy. BENCH_ROLLOUTS: rollouts a cell (3000).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from benchmarks.gate.counted import counted
from benchmarks.gate.exact import exact
from benchmarks.gate.simulated import cells, compared, disturbances
from benchmarks.report import Figure, Report

_HEAD = (
    "requests/s",
    "version",
    "aborted",
    "promoted",
    "undecided",
    "seconds",
    "requests",
    "60 s",
    "each 5 s",
    "5 of 12",
    "ok",
)


def main() -> None:
    """Compute and simulate everything."""
    rollouts = int(os.environ.get("BENCH_ROLLOUTS", "3000"))
    report, started = Report("gate"), time.monotonic()
    rows: list[tuple[str, ...]] = [_HEAD]
    _take(report, exact())
    _take(report, disturbances(rollouts))
    _take(report, compared(rollouts))
    _take(report, counted(rollouts))
    named = list(report.figures)
    for figure, row in cells(rollouts):
        report.add(figure)
        rows.append((*row, {True: "yes", False: "NO", None: ""}[figure.ok]))
    print(
        f"\nPer cent of {rollouts} rollouts; median to the more frequent verdict; per cent that plain rules abort at 5 %\n"
    )
    print(_aligned(rows))
    report.figures = named  # the cells stand in the table above
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


def _take(report: Report, figures: Iterable[Figure]) -> None:
    for figure in figures:
        report.add(figure)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


if __name__ == "__main__":
    main()
