"""Small parts of statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import TextClause, bindparam, text

NOW: Final = "UTC_TIMESTAMP(6)"
"""The database's clock, the only one that counts: those of dispatchers may be off."""


def sql(statement: str, *lists: str) -> TextClause:
    """Return a statement; each of `lists` is a parameter that stands for several values, as in `IN :ids`."""
    clause: TextClause = text(statement)
    return clause.bindparams(*(bindparam(name, expanding=True) for name in lists)) if lists else clause


def after(seconds: float) -> str:
    """Return the expression for that time from now."""
    return f"{NOW} + INTERVAL {round(seconds * 1_000_000)} MICROSECOND"


def numbers(values: Iterable[int]) -> str:
    """Return numbers as they stand in a list of SQL. Long lists cost the driver less so than as parameters."""
    return ",".join([str(int(value)) for value in values])


def first(rows: list[Any]) -> Any:
    """Return the first row's first value."""
    return rows[0][0]
