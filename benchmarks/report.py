"""Figures of a benchmark suite: their arithmetic, their JSON lines, their table.

A figure that misses its goal is a fact, not an error: nothing here raises or exits because of a value.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
_RESAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    """The greatest value that is good, or the smallest where `at_least`. None: shown beside the others, no goal."""
    at_least: bool = False
    peer: str | None = None
    """What it was measured beside, in the same run."""
    peer_value: float | None = None
    ci: tuple[float, float] | None = None
    """95 % interval of `value`; its bad end decides `ok`."""
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the goal holds; None where there is none."""
        if self.goal is None or math.isnan(self.value):
            return None if self.goal is None else False
        if self.at_least:
            return (self.ci[0] if self.ci else self.value) >= self.goal
        return (self.ci[1] if self.ci else self.value) <= self.goal

    def line(self) -> str:
        """Return the figure as one line of JSON."""
        fields = asdict(self)
        del fields["at_least"]
        return json.dumps({**fields, "ok": self.ok}, ensure_ascii=False)


def ratio_of_medians(ours: Sequence[float], peers: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Return median(ours) / median(peers) and its bootstrap 95 % interval (None for fewer than three rounds)."""
    value = statistics.median(ours) / statistics.median(peers)
    if min(len(ours), len(peers)) < 3:
        return value, None
    draw = random.Random(0)
    ratios = sorted(
        statistics.median(draw.choices(ours, k=len(ours))) / statistics.median(draw.choices(peers, k=len(peers)))
        for _ in range(_RESAMPLES)
    )
    return value, (ratios[int(_RESAMPLES * 0.025)], ratios[int(_RESAMPLES * 0.975)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def percentile_interval(values: Sequence[float], percent: float) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of a nearest-rank percentile."""
    draw = random.Random(0)
    found = sorted(percentile(draw.choices(values, k=len(values)), percent) for _ in range(_RESAMPLES))
    return found[int(_RESAMPLES * 0.025)], found[int(_RESAMPLES * 0.975)]


class Report:
    """Collects the figures of one suite; each is written to `results/<suite>.jsonl` as soon as it is there."""

    def __init__(self, suite: str) -> None:
        RESULTS.mkdir(exist_ok=True)
        self.path = RESULTS / f"{suite}.jsonl"
        self.path.write_text("")
        self.figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        """Take in a figure."""
        self.figures.append(figure)
        with self.path.open("a") as lines:
            lines.write(figure.line() + "\n")

    def table(self) -> str:
        """Return all figures as a table for people."""
        rows = [("figure", "value", "95 % interval", "goal", "ok", "measured beside", "note")]
        for figure in self.figures:
            goal = "" if figure.goal is None else f"{'≥' if figure.at_least else '≤'} {_number(figure.goal)}"
            beside = figure.peer or ""
            if figure.peer_value is not None:
                beside += f": {_number(figure.peer_value)}"
            rows.append(
                (
                    figure.name,
                    f"{_number(figure.value)} {figure.unit}".strip(),
                    "" if figure.ci is None else f"{_number(figure.ci[0])} … {_number(figure.ci[1])}",
                    goal,
                    {True: "yes", False: "NO", None: ""}[figure.ok],
                    beside,
                    figure.note,
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
