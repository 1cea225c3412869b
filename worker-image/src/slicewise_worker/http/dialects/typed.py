"""Parts of a request that say by their type what they are."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed

_SHOWN = 40
_TEXT_ONLY = frozenset({"image", "document", "input_image", "input_file", "input_audio"})


class Typed(Closed):
    """A part with a `type`. One of another type is refused as such, and not for the first of its fields that is not known."""

    types: ClassVar[tuple[str, ...]]

    @model_validator(mode="before")
    @classmethod
    def _type_first(cls, value: Any) -> Any:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind in cls.types:
            return value
        if kind in _TEXT_ONLY:
            raise PydanticCustomError("type", f"the type '{kind}' is not supported: this worker reads text only")
        known = " or ".join(f"'{name}'" for name in cls.types)
        raise PydanticCustomError(
            "type", "the type '{kind}' is not supported here: use {known}", {"kind": kind[:_SHOWN], "known": known}
        )
