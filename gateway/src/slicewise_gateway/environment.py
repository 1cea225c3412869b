"""Settings from environment variables: what a variable may hold, and the sentence about what it may not. Pure.

Small on purpose: pydantic-settings takes 8 MiB in each of two processes beside every Envoy (ADR 31). The sentences are pydantic's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, Final, TypeVar

PREFIX: Final = "SLICEWISE_GATEWAY_"

T = TypeVar("T")
_Read = Callable[[str], Any]


class SettingsError(ValueError):
    """Variables are missing or cannot be used; the sentence names each."""


def setting(read: _Read, default: Any = MISSING, *, variable: str | None = None) -> Any:
    """Return the field of a settings class. `read`: makes the value of a text, or raises ValueError with a sentence.

    A setting without a default is required. `variable`: another name than the prefix and the field's own.
    """
    return field(default=default, metadata={"read": read, "variable": variable})


def read_settings(kind: Callable[..., T], environment: Mapping[str, str]) -> T:
    """Return settings of a dataclass made of `setting`s. An empty variable counts as absent. Raises SettingsError."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for found in fields(kind):  # type: ignore[arg-type]  # mypy has no type for the class of a dataclass that is called too
        text = environment.get(variable_of(found), "")
        try:
            if text:
                values[found.name] = found.metadata["read"](text)
            elif found.default is MISSING:
                raise ValueError("Field required")  # noqa: TRY301 - gathered with the others
        except ValueError as error:
            wrong.append(f"{variable_of(found)}: {error}")
    if wrong:
        raise SettingsError("; ".join(wrong))
    return kind(**values)


def variable_of(found: Field[Any]) -> str:
    """Return the name of the variable of a setting."""
    return str(found.metadata["variable"] or PREFIX + found.name.upper())


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of this range."""

    def read(text: str) -> int:
        try:
            value = int(text) if text.isascii() else None
        except ValueError:
            value = None
        if value is None:
            raise ValueError("Input should be a valid integer, unable to parse string as an integer")
        if value < low:
            raise ValueError(f"Input should be greater than or equal to {low}")
        if high is not None and value > high:
            raise ValueError(f"Input should be less than or equal to {high}")
        return value

    return read


def seconds(*, positive: bool = False) -> Callable[[str], float]:
    """Return what reads a time. `positive`: zero is too little."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("Input should be a valid number, unable to parse string as a number") from None
        if not math.isfinite(value):
            raise ValueError("Input should be a finite number")
        if value < 0 or (positive and value == 0):
            raise ValueError(f"Input should be greater than {'' if positive else 'or equal to '}0")
        return value

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            quoted = [repr(word) for word in words]
            raise ValueError(f"Input should be {', '.join(quoted[:-1])} or {quoted[-1]}")
        return text

    return read
