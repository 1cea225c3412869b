"""The fields of requests that are about the form of the answer, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed

MAX_NAME: Final = 64


class JsonSchema(Closed):
    """A schema that the answer keeps to; `strict` changes nothing, because what cannot be enforced is refused in any case."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    definition: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """None, as OpenAI has it, asks for any JSON object."""
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Closed):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _one_form(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise PydanticCustomError(
                "response_format", "needs 'json_schema' with the type 'json_schema', and with no other"
            )
        return self

    @property
    def wanted(self) -> dict[str, Any] | None:
        """Return the schema that the answer keeps to, None for any text."""
        if self.type == "text":
            return None
        given = self.json_schema.definition if self.json_schema else None
        return {"type": "object"} if given is None else given
