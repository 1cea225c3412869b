"""How OpenAI writes an answer down: the two endpoints differ only in this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from slicewise_worker.engine.request import Chances
from slicewise_worker.engine.tokenizer import Tokenizer
from slicewise_worker.http.logprobs import chat_logprobs, completion_logprobs

Logprobs = dict[str, Any] | None
"""OpenAI's `logprobs` of a choice; None where they were not asked for."""


class Shape(Protocol):
    """The parts of a response that depend on the endpoint."""

    @property
    def prefix(self) -> str:
        """What an id begins with."""

    @property
    def slow(self) -> bool:
        """Whether a long answer takes time to write down."""

    @property
    def whole(self) -> str:
        """`object` of a whole answer."""

    @property
    def part(self) -> str:
        """`object` of a chunk."""

    def logprobs(self, index: int, chances: Sequence[Chances], tokenizer: Tokenizer) -> Logprobs:
        """Return how likely the tokens of a choice were."""

    def choice(self, index: int, text: str, reason: str, logprobs: Logprobs) -> dict[str, Any]:
        """Return a choice of a whole answer."""

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the choice of the chunk before the first text, or None where there is no such chunk."""

    def deltas(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> list[dict[str, Any]]:
        """Return the choices of the chunks for `text`, and for the end when there is a `reason`."""


class ChatShape:
    """`/v1/chat/completions`."""

    prefix = "chatcmpl"
    slow = False
    whole = "chat.completion"
    part = "chat.completion.chunk"

    def logprobs(self, index: int, chances: Sequence[Chances], tokenizer: Tokenizer) -> Logprobs:
        """Return one entry a token."""
        del index
        return chat_logprobs(chances, tokenizer)

    def choice(self, index: int, text: str, reason: str, logprobs: Logprobs) -> dict[str, Any]:
        """Return a choice of a whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the choice that says who speaks."""
        return self._delta(index, {"role": "assistant", "content": ""}, None, None)

    def deltas(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> list[dict[str, Any]]:
        """Return a choice for the text and one for the end."""
        some = text or (logprobs and logprobs["content"])
        parts = [self._delta(index, {"content": text}, None, logprobs)] if some else []
        return [*parts, self._delta(index, {}, reason, None)] if reason else parts

    def _delta(self, index: int, delta: dict[str, Any], reason: str | None, logprobs: Logprobs) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


class CompletionShape:
    """`/v1/completions`; `echoes` has the prompt's text for each choice where the answer begins with it, else it is empty."""

    prefix = "cmpl"
    slow = False
    whole = part = "text_completion"

    def __init__(self, echoes: Sequence[str] = ()) -> None:
        self._echoes = echoes

    def logprobs(self, index: int, chances: Sequence[Chances], tokenizer: Tokenizer) -> Logprobs:
        """Return lists with one entry a token."""
        return completion_logprobs(chances, tokenizer, len(self._echo(index)))

    def choice(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> dict[str, Any]:
        """Return a choice of a whole answer."""
        return self._choice(index, self._echo(index) + text, reason, logprobs)

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the choice with the prompt's text, or None where the answer does not begin with it."""
        echo = self._echo(index)
        return self._choice(index, echo, None, None) if echo else None

    def deltas(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> list[dict[str, Any]]:
        """Return one choice for the text and its end."""
        some = text or reason or (logprobs and logprobs["tokens"])
        return [self._choice(index, text, reason, logprobs)] if some else []

    def _echo(self, index: int) -> str:
        return self._echoes[index] if self._echoes else ""

    def _choice(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
