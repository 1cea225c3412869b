"""What all parts of a request body have in common: a field that is not known is refused by name. Null means "not given"."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

UNKNOWN_FIELD: Final = "unknown_field"
"""Type of the error for a field that is not known; its context holds the `name`."""


class Closed(BaseModel):
    """An object with the fields that it names, and no other."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, value: Any) -> Any:
        """Refuse the first field that is not known, unless it is null."""
        if not isinstance(value, dict):
            return value
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name, given in value.items():
            if given is not None and name not in known:
                raise PydanticCustomError(UNKNOWN_FIELD, "is not known", {"name": name})
        return {name: value[name] for name in known if name in value}
