"""The request bodies of `/v1/embeddings` and `/v1/rerank`, each field with its bounds. What is not here is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, InstanceOf
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed
from slicewise_worker.http.schema import TokenArray, Whole, token_array

MOST_INPUTS: Final = 2048
"""OpenAI's bound for `input`, here for `documents` too."""


def _count(values: list[Any]) -> None:
    if not 1 <= len(values) <= MOST_INPUTS:
        raise PydanticCustomError("inputs", f"must hold 1 to {MOST_INPUTS} entries, not {len(values)}")


def _inputs(value: Any) -> Any:
    """Accept a text, a list of texts, a list of tokens, or a list of lists of tokens."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value:
        if all(type(token) is int for token in value):
            return (token_array(value),)
        if all(isinstance(text, str) for text in value):
            _count(value)
            return tuple(value)
        if all(isinstance(tokens, list) for tokens in value):
            _count(value)
            if all(type(token) is int for tokens in value for token in tokens):
                return tuple(map(token_array, value))
    raise PydanticCustomError(
        "input", "must be a string, a list of strings, a list of token numbers, or a list of such lists"
    )


def _documents(value: Any) -> Any:
    """Accept texts, and objects with a `text` and nothing else."""
    if not isinstance(value, list):
        raise PydanticCustomError("documents", "must be a list of strings")
    _count(value)
    texts = [one["text"] if isinstance(one, dict) and set(one) == {"text"} else one for one in value]
    if not all(isinstance(text, str) for text in texts):
        raise PydanticCustomError("documents", 'must hold strings, or objects like {"text": "..."}')
    return tuple(texts)


class Document(Closed):
    """A document as an object, for the OpenAPI document."""

    text: str


Inputs = (
    str
    | Annotated[list[str], Field(min_length=1, max_length=MOST_INPUTS)]
    | Annotated[list[int], Field(min_length=1)]
    | Annotated[list[list[int]], Field(min_length=1, max_length=MOST_INPUTS)]
)
Documents = Annotated[list[str | Document], Field(min_length=1, max_length=MOST_INPUTS)]


class EmbeddingRequest(Closed):
    """Body of `POST /v1/embeddings`."""

    model: str
    input: Annotated[tuple[str | InstanceOf[TokenArray], ...], BeforeValidator(_inputs, json_schema_input_type=Inputs)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    user: str | None = None


class RerankRequest(Closed):
    """Body of `POST /v1/rerank`."""

    model: str
    query: str
    documents: Annotated[tuple[str, ...], BeforeValidator(_documents, json_schema_input_type=Documents)]
    top_n: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    return_documents: bool | None = None
    user: str | None = None
