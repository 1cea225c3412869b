"""Columns of text, as kubectl prints them: two spaces between, nothing wrapped, nothing drawn. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

Cell = str | Text


def columns(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Text:
    """Return a table as lines of text; the last column is not padded."""
    table = [[Text(cell, "bold") for cell in header], *[[_text(cell) for cell in row] for row in rows]]
    widths = [max(row[index].cell_len for row in table) for index in range(len(header))]
    return Text("\n").join(_line(row, widths) for row in table)


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for index, cell in enumerate(row):
        line.append_text(cell)
        if index < len(row) - 1:
            line.append(" " * (widths[index] - cell.cell_len + 2))
    line.rstrip()
    return line
