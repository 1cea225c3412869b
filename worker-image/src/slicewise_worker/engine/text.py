"""From token pieces to text that is safe to send: whole characters only, and nothing that belongs to a stop string.

Pure; one `TextStream` per sequence, fed by the engine loop.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of successive tokens into text.

    A character of several bytes may be spread over several tokens, and a stop string over several tokens too: both are
    held back until they are decided. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        """Take the stop strings (not empty ones); the first to appear ends the text before it."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._held = ""
        self.decoded = 0
        """Characters that came so far, also those that are held back."""
        self.sent = 0
        """Characters that became safe to send so far."""
        self.stop: str | None = None
        """The stop string that was found; nothing is returned from then on."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self.stop is not None

    def push(self, piece: bytes) -> str:
        """Return what became safe to send by the bytes of one more token."""
        return self._counted(self._decoder.decode(piece))

    def flush(self) -> str:
        """Return what is still held back, when the generation ends for another reason than a stop string."""
        text = self._counted(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        self.sent += len(held)
        return text + held

    def _counted(self, text: str) -> str:
        self.decoded += len(text)
        text = self._release(text)
        self.sent += len(text)
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        if found := [(index, stop) for stop in self._stops if (index := text.find(stop)) >= 0]:
            index, self.stop = min(found)
            self._held = ""
            return text[:index]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _undecided(self, text: str) -> int:
        """Return the length of the longest end of `text` that a stop string begins with."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:length]):
                    longest = length
                    break
        return longest
