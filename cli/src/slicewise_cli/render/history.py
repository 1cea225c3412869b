"""The kept revisions as a table, and a way back as lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from slicewise_cli.render.lines import columns
from slicewise_cli.render.words import since
from slicewise_cli.view.revisions import Kept, Undo


def history_table(history: Sequence[Kept], now: float) -> Text:
    """Return one line a revision, oldest first."""
    return columns(
        ("NUMBER", "REVISION", "ROLE", "AGE", "SLICE", "DIGEST", "SOURCE"),
        [
            (
                str(item.number),
                item.hash,
                item.role or "-",
                since(item.created_at, now),
                item.slice or "-",
                item.digest.removeprefix("sha256:")[:12] or "-",
                item.source,
            )
            for item in history
        ],
    )


def undo_lines(undo: Undo) -> Text:
    """Return each field that the way back changes."""
    return Text("\n").join(
        Text(f"  {change.path}: {_value(change.before)} → {_value(change.after)}") for change in undo.changes
    )


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)
