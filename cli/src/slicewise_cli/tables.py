"""Prints lines, tables and trees with rich: results on standard output, warnings on standard error."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text
from rich.tree import Tree as RichTree

from slicewise_cli.view.lines import Block, Line, Lines, Table, Tree


def renderable(what: Block | Lines | Tree) -> RenderableType:
    """Return the rich object that prints it."""
    if isinstance(what, Tree):
        return _tree(what)
    if isinstance(what, Line):
        return _text(what)
    if isinstance(what, Table):
        return _columns(what)
    return Text("\n").join(_columns(block) if isinstance(block, Table) else _text(block) for block in what)


def show(what: Block | Lines | Tree) -> None:
    """Print on standard output. Only a tree is wrapped at the width of the terminal."""
    console().print(renderable(what), soft_wrap=not isinstance(what, Tree))


def console() -> Console:
    """Return a console for standard output: with colours on a terminal, else plain text that is never wrapped."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(file=sys.stdout, highlight=False, no_color=True, width=10_000, legacy_windows=False)


def live(screen: Console) -> Live:
    """Return a region of the terminal that is redrawn on demand."""
    return Live(console=screen, auto_refresh=False, vertical_overflow="crop")


def warn(sentence: str) -> None:
    """Print a warning on standard error; the command continues."""
    Console(stderr=True, highlight=False).print(Text(f"warning: {sentence}", "yellow"), soft_wrap=True)


def _text(line: Line) -> Text:
    return Text.assemble(*line.parts)


def _tree(tree: Tree) -> RichTree:
    drawn = RichTree(_text(tree.head))
    for branch in tree.branches:
        drawn.children.append(_tree(branch))
    return drawn


def _columns(table: Table) -> Text:
    """Columns as kubectl prints them: two spaces apart, without wrapping and borders."""
    rows = [[Text(cell, "bold") for cell in table.header], *[[_text(cell) for cell in row] for row in table.rows]]
    widths = [max(row[index].cell_len for row in rows) for index in range(len(table.header))]
    return Text("\n").join(_row(row, widths) for row in rows)


def _row(cells: list[Text], widths: list[int]) -> Text:
    """One row, without padding after the last column."""
    row = Text()
    for index, cell in enumerate(cells):
        row.append_text(cell)
        if index < len(cells) - 1:
            row.append(" " * (widths[index] - cell.cell_len + 2))
    row.rstrip()
    return row
