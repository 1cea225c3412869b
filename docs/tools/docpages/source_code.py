"""What the source code says of itself: calls of a function with their arguments, found without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Call:
    """One call in the source code."""

    where: str
    """File and line, for messages."""
    function: str
    """The last part of the name: `Counter` for `prometheus_client.Counter(…)`."""
    within: str
    """The function or method that calls; empty at the top of a module."""
    positional: tuple[ast.expr, ...]
    keywords: dict[str, ast.expr]

    def argument(self, position: int, keyword: str) -> ast.expr | None:
        """Return an argument by its place or its name; None where it is not given."""
        return self.positional[position] if len(self.positional) > position else self.keywords.get(keyword)


def calls(folder: str, functions: frozenset[str]) -> Iterator[Call]:
    """Yield the calls of the functions in the Python files below a folder of the repository."""
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node, within in _nodes(_tree(path), ""):
            if isinstance(node, ast.Call) and _name(node.func) in functions:
                where = f"{path.relative_to(REPOSITORY)}:{node.lineno}"
                keywords = {item.arg: item.value for item in node.keywords if item.arg is not None}
                yield Call(where, _name(node.func), within, tuple(node.args), keywords)


def _nodes(node: ast.AST, within: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        yield child, within
        inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else within
        yield from _nodes(child, inside)


def constant(node: ast.expr | None) -> object:
    """Return the value of a literal; None for anything else."""
    return node.value if isinstance(node, ast.Constant) else None


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
