"""What all parts of the status are made of: their model, and the kinds of values in them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from slicewise.api.v1alpha1.base import ApiModel

_TIME: dict[str, Any] = {"format": "date-time"}
_LONGEST: Final = 32768
"""Characters of a message. The API server refuses a status with a longer one, and with it everything else in it."""


def _cut(text: Any) -> Any:
    return text[:_LONGEST] if isinstance(text, str) else text


def _readable(time: str) -> str:
    datetime.fromisoformat(time)
    return time


Short = Annotated[str, Field(max_length=63)]
Sentence = Annotated[str, BeforeValidator(_cut), Field(max_length=_LONGEST)]
Time = Annotated[str, AfterValidator(_readable), Field(json_schema_extra=_TIME)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Amount = Annotated[float, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]


class StatusModel(BaseModel):
    """A frozen part of the status: snake_case here, camelCase on the wire."""

    model_config = ConfigDict(**{**ApiModel.model_config, "extra": "forbid", "allow_inf_nan": False})
