"""The tables of docs/gate.md are written by a command, from the figures, and are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.gate.scenarios import INSIDE, OUTSIDE, RATES, TWICE
from benchmarks.gate.table import BEGIN, END, filled, tables

DOCUMENT = Path(__file__).parents[4] / "docs" / "gate.md"
VERSIONS = [world.name for world in (*INSIDE, *TWICE, *OUTSIDE)]


def figure(
    name: str, value: float = 0.001, unit: str = "", goal: float | None = 0.01, note: str = ""
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "goal": goal, "note": note}


def whole_run() -> list[dict[str, Any]]:
    cells = [
        figure(f"promotion at {rate}/s, {name}", note="aborted 0.10%, promoted 99.80%, undecided 0.10%")
        for name in VERSIONS
        for rate in RATES
    ]
    return [*cells, figure("median to promotion, good", 288, "requests", 300, note="a | b")]


def test_figures_become_two_tables_between_the_markers() -> None:
    text = tables(whole_run())
    assert f"| {VERSIONS[0]} | 0.1 / 99.8 |" in text
    assert "| median to promotion, good | 288 requests | ≤ 300 requests | a / b |" in text
    document = filled(f"before\n{BEGIN}\nold\n{END}\nafter", text)
    assert document.startswith(f"before\n{BEGIN}\n\n| version | 1/s |")
    assert document.endswith(f"|\n\n{END}\nafter")
    assert filled(document, text) == document


def test_figures_of_half_a_run_are_refused() -> None:
    with pytest.raises(ValueError, match="not the figures of a whole run"):
        tables(whole_run()[1:])


@pytest.mark.parametrize("document", ["", f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_document_without_its_markers_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="has not exactly one"):
        filled(document, "x")


def test_the_document_has_a_row_for_each_version_with_each_traffic() -> None:
    _, _, rest = DOCUMENT.read_text().partition(BEGIN)
    rows = [line for line in rest.partition(END)[0].splitlines() if line.startswith("| ")]
    for name in VERSIONS:
        (row,) = [row for row in rows if row.startswith(f"| {name} |") and row.count(" / ") == len(RATES)]
        assert row
    assert len(rows) > len(VERSIONS) + 20
