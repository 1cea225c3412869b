"""The output of commands as plain values: styled lines, tables and trees, which `tables` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Styled: TypeAlias = tuple[str, str]
"""A text and its style as rich names it, such as `green` or `bold red`; an empty style is plain text."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: parts, each in one style."""

    parts: tuple[Styled, ...] = ()

    def __add__(self, other: Line | Styled | str) -> Line:
        return Line(self.parts + (other.parts if isinstance(other, Line) else line(other).parts))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A line with branches below it."""

    head: Line
    branches: tuple[Tree, ...] = ()


Block: TypeAlias = Line | Table
Lines: TypeAlias = Sequence[Block]
"""Lines and tables to print one below the other."""
BLANK = Line()


def line(*parts: Styled | str) -> Line:
    """Return a line of these parts."""
    return Line(tuple((part, "") if isinstance(part, str) else part for part in parts))


def table(header: Sequence[str], rows: Sequence[Sequence[Line | str]]) -> Table:
    """Return a table; cells without style may be strings."""
    cells = tuple(tuple(line(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return Table(tuple(header), cells)


def tree(head: Line, branches: Sequence[Line | Tree] = ()) -> Tree:
    """Return a tree; branches without branches of their own may be lines."""
    return Tree(head, tuple(Tree(branch) if isinstance(branch, Line) else branch for branch in branches))
