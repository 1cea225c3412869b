"""What clients may write where a field takes several forms, for the OpenAPI document; the validators beside the fields check it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slicewise_worker.http.closed import Closed

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256

StopInput = (
    Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
    | Annotated[list[Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]], Field(max_length=MAX_STOPS)]
    | None
)
PromptInput = (
    str
    | Annotated[list[str], Field(min_length=1)]
    | Annotated[list[int], Field(min_length=1)]
    | Annotated[list[list[int]], Field(min_length=1)]
)


class TextPart(Closed):
    """A part of a message."""

    type: Literal["text"]
    text: str
