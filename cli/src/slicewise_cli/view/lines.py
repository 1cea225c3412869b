"""What a command prints, as plain values: styled lines, tables and trees. `tables` writes them to a terminal or a file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Styled: TypeAlias = tuple[str, str]
"""A text and its style as rich names it, such as `green` or `bold red`; an empty style is plain text."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text, in parts of one style each."""

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
    """A line with branches under it."""

    head: Line
    branches: tuple[Tree, ...] = ()


Block: TypeAlias = Line | Table
Lines: TypeAlias = Sequence[Block]
"""Printed one below the other; an empty line separates."""
BLANK = Line()


def line(*parts: Styled | str) -> Line:
    """Return the parts as one line."""
    return Line(tuple((part, "") if isinstance(part, str) else part for part in parts))


def table(header: Sequence[str], rows: Sequence[Sequence[Line | str]]) -> Table:
    """Return a table whose plain cells may be given as text."""
    cells = tuple(tuple(line(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return Table(tuple(header), cells)


def tree(head: Line, branches: Sequence[Line | Tree] = ()) -> Tree:
    """Return a tree whose leaves may be given as lines."""
    return Tree(head, tuple(Tree(branch) if isinstance(branch, Line) else branch for branch in branches))
