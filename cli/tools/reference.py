"""Write the commands' reference into docs/cli.md, between its marks, from the program itself. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import typer

from slicewise_cli.app import app

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: begin, by `make generate` -->\n", "<!-- commands: end -->\n"
SHARED: Final = ("output", "context", "namespace", "kubeconfig", "help")
"""Options that the page tells once."""


def reference() -> str:
    """Return what stands between the marks."""
    group: Any = typer.main.get_command(app)
    parts = [_command(name, command) for name, command in group.commands.items()]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name not in SHARED]
    required = [f"{_names(each)}" for each in options if each.required]
    words = ["kubectl slicewise", name, *required, *(each.metavar for each in arguments)]
    lines = [f"### {name}", "", "```text", " ".join(words), "```", "", command.help, ""]
    rows = [f"| `{each.metavar}` | {each.help} |" for each in arguments if each.help != "The pool."]
    rows += [f"| `{_names(each)}` | {each.help} |" for each in options]
    return "\n".join([*lines, *(["| | |", "|---|---|", *rows, ""] if rows else [])])


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return ", ".join(sorted(option.opts, key=len)) + value


def page_with_reference(page: str) -> str:
    """Return the page with the reference as it is to be."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{reference()}{END}{tail}"


def main() -> int:
    """Write the page, or with `--check` return 1 where it is not up to date."""
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        if text != page_with_reference(text):
            sys.stderr.write("docs/cli.md is not what the program says: run make generate\n")
            return 1
        return 0
    PAGE.write_text(page_with_reference(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
