"""How commands answer: as data where `--output` asks for it, else as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from slicewise_cli.options import Form

if TYPE_CHECKING:
    from slicewise_cli.view.lines import Block, Lines, Tree


def answer(value: Any, output: Form | None, text: Callable[[], Block | Lines | Tree | str]) -> None:
    """Print `value` as data, or what `text` returns: a sentence as it is, all else drawn."""
    if output:
        from slicewise_cli.view.data import dump

        typer.echo(dump(value, output))
    elif isinstance(shown := text(), str):
        typer.echo(shown)
    else:
        from slicewise_cli.tables import show

        show(shown)
