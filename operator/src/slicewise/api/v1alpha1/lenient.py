"""Lenient reading: as much of a stored object as a model understands. Called for `status`; pure.

What another version of the operator wrote must not fail a pool: a field that is unknown, of another type or out of bounds counts as
absent, and so does an entry of a list that lacks a required field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

Path = tuple[int | str, ...]
Model = TypeVar("Model", bound=BaseModel)

_TRIES: Final = 3
"""All mistakes are found at once, but for those in a container that was itself wrong, so the second try succeeds."""


def understand(model: type[Model], stored: object) -> Model:
    """Return what `model` understands of `stored`; its defaults where that is nothing. Every field of `model` needs a default."""
    for _ in range(_TRIES):
        try:
            return model.model_validate(stored)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            stored = _without(stored, [_wrong(item["type"], item["loc"]) for item in found])
    return model()


def _wrong(kind: str, path: Path) -> Path:
    """Return the path of what is to be left out: an object goes as a whole where a required field of it is missing."""
    return path[:-1] if kind == "missing" else path


def _without(value: object, paths: Sequence[Path]) -> Any:
    """Return `value` without what is at `paths`."""
    if () in paths:
        return {}
    below: dict[int | str, list[Path]] = {}
    for head, *rest in paths:
        below.setdefault(head, []).append(tuple(rest))
    if isinstance(value, Mapping):
        return {key: _without(part, below.get(key, ())) for key, part in value.items() if () not in below.get(key, ())}
    if isinstance(value, list | tuple):
        parts = enumerate(value)
        return [_without(part, below.get(at, ())) for at, part in parts if () not in below.get(at, ())]
    return value
