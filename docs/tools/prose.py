"""Find words that we do not write: `[tool.prose]` of pyproject.toml has the files and, for each pattern, what to write instead.

Called by `make lint`. In Markdown, fenced blocks and generated sections are left out; in Python, comments and docstrings are read.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_FENCE: Final = re.compile(r" *```")
_BEGIN, _END = re.compile(r"<!-- [^>]*begin[^>]*-->"), re.compile(r"<!-- [^>]*end[^>]*-->")
_CODE: Final = re.compile(r"`[^`]*`")


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line of prose in a file."""
    text = path.read_text(encoding="utf-8")
    yield from _comments(text) if path.suffix == ".py" else _markdown(text)


def findings(lines: Iterator[tuple[int, str]], phrases: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield line, phrase and what to write instead, for each phrase that is found."""
    patterns = [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), instead) for pattern, instead in phrases.items()]
    for number, line in lines:
        for pattern, instead in patterns:
            if found := pattern.search(line):
                yield number, found[0], instead


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    fenced = generated = False
    for number, line in enumerate(text.splitlines(), 1):
        generated = (generated or bool(_BEGIN.search(line))) and not _END.search(line)
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not generated:
            yield number, _CODE.sub("`…`", line)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        # Docstrings, and the strings below a field or a constant, which describe it.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for offset, line in enumerate(node.value.value.splitlines()):
                yield node.lineno + offset, line


def main() -> int:
    """Print what is found and return 1, or 0 where nothing is."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["prose"]
    paths = sorted({path for pattern in settings["files"] for path in REPOSITORY.glob(pattern)})
    told = 0
    for path in paths:
        for number, phrase, instead in findings(prose_of(path), settings["phrases"]):
            sys.stderr.write(f"{path.relative_to(REPOSITORY)}:{number}: '{phrase}': write {instead}\n")
            told += 1
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
