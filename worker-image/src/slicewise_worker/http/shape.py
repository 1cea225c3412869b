"""How OpenAI writes an answer down: the two endpoints differ only in this."""

from __future__ import annotations

from typing import Any, Protocol


class Shape(Protocol):
    """The parts of a response that depend on the endpoint."""

    @property
    def prefix(self) -> str:
        """What an id begins with."""

    @property
    def whole(self) -> str:
        """`object` of a whole answer."""

    @property
    def part(self) -> str:
        """`object` of a chunk."""

    def choice(self, index: int, text: str, reason: str) -> dict[str, Any]:
        """Return a choice of a whole answer."""

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the choice of the chunk before the first text, or None where there is no such chunk."""

    def deltas(self, index: int, text: str, reason: str | None) -> list[dict[str, Any]]:
        """Return the choices of the chunks for `text`, and for the end when there is a `reason`."""


class ChatShape:
    """`/v1/chat/completions`."""

    prefix = "chatcmpl"
    whole = "chat.completion"
    part = "chat.completion.chunk"

    def choice(self, index: int, text: str, reason: str) -> dict[str, Any]:
        """Return a choice of a whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the choice that says who speaks."""
        return self._delta(index, {"role": "assistant", "content": ""}, None)

    def deltas(self, index: int, text: str, reason: str | None) -> list[dict[str, Any]]:
        """Return a choice for the text and one for the end."""
        parts = [self._delta(index, {"content": text}, None)] if text else []
        return [*parts, self._delta(index, {}, reason)] if reason else parts

    def _delta(self, index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


class CompletionShape:
    """`/v1/completions`."""

    prefix = "cmpl"
    whole = part = "text_completion"

    def choice(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        """Return a choice of a whole answer."""
        return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return None: a completion begins with its text."""
        del index
        return None

    def deltas(self, index: int, text: str, reason: str | None) -> list[dict[str, Any]]:
        """Return one choice for the text and its end."""
        return [self.choice(index, text, reason)] if text or reason else []
