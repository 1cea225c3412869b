"""`python -m benchmarks.gate.table`: write the figures of the latest `make bench-gate` into docs/gate.md, between its markers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.gate.scenarios import INSIDE, OUTSIDE, RATES, TWICE
from benchmarks.report import RESULTS

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
BEGIN, END = "<!-- figures of make bench-gate: begin -->", "<!-- figures of make bench-gate: end -->"
_CELL: Final = re.compile(r"(?:false abort|promotion) at (?P<rate>\d+)/s, (?P<version>.+)")
_SHARES: Final = re.compile(r"aborted ([\d.]+)%, promoted ([\d.]+)%")
_VERSIONS: Final = [scenario.name for scenario in (*INSIDE, *TWICE, *OUTSIDE)]
_SHOWN: Final = ("false abort", "false promotion", "promotion", "median to", "requests until", "canary requests")


def tables(figures: Iterable[Mapping[str, Any]]) -> str:
    """Return the figures as two tables: whole rollouts at each traffic, and everything else that has a goal."""
    cells: dict[tuple[str, str], str] = {}
    others: list[Mapping[str, Any]] = []
    for figure in figures:
        cell = _CELL.fullmatch(str(figure["name"]))
        if cell and cell["version"] in _VERSIONS:
            aborted, promoted = _SHARES.findall(str(figure["note"]))[0]
            cells[cell["version"], cell["rate"]] = f"{float(aborted):.1f} / {float(promoted):.1f}"
        elif str(figure["name"]).startswith(_SHOWN):
            others.append(figure)
    missing = [f"{version} at {rate}/s" for version in _VERSIONS for rate in RATES if (version, str(rate)) not in cells]
    if missing or not others:
        raise ValueError(f"not the figures of a whole run: {missing[:3] or 'only cells'} missing")
    simulated = [[version, *(cells[version, str(rate)] for rate in RATES)] for version in _VERSIONS]
    listed = [[_plain(figure["name"]), _value(figure), _goal(figure), _plain(figure["note"])] for figure in others]
    return "\n\n".join(
        [
            _markdown(["version", *(f"{rate:,}/s" for rate in RATES)], simulated),
            _markdown(["figure", "measured", "goal", "with"], listed),
        ]
    )


def filled(document: str, text: str) -> str:
    """Return the document with that text between its markers. Raises ValueError where they are not there once."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after:
        raise ValueError(f"the document has not exactly one {BEGIN!r} before {END!r}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: object) -> str:
    return str(text).replace("|", "/")


def _value(figure: Mapping[str, Any]) -> str:
    value, unit = float(figure["value"]), str(figure["unit"])
    if unit:
        return f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
    return f"{100 * value:.2f} %"


def _goal(figure: Mapping[str, Any]) -> str:
    if figure["goal"] is None:
        return ""
    goal = float(figure["goal"])
    return f"≤ {goal:g} {figure['unit']}" if figure["unit"] else f"≤ {100 * goal:g} %"


def main() -> None:
    """Fill the document."""
    figures = [json.loads(line) for line in (RESULTS / "gate.jsonl").read_text().splitlines()]
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), tables(figures)))


if __name__ == "__main__":
    main()
