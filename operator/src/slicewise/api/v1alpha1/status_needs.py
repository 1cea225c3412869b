"""`status.needs`: what workers have measured of the model."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from slicewise.api.bounds import MOST
from slicewise.api.v1alpha1.status_base import Short, StatusModel

_INT64: Final[dict[str, Any]] = {"format": "int64"}
Size = Annotated[int, Field(ge=0, le=MOST, json_schema_extra=_INT64)]


class NeedsStatus(StatusModel):
    """Bytes that the model takes of a GPU slice."""

    about: Short
    """Hash of `spec.model` and `spec.engine`."""
    weights: Size
    kv_cache: Size
    buffers: Size
    total: Size
    at_least: Size | None = None
    """What a slice must have, since one was too small."""
