"""Cut a prompt into segments short enough to tokenize, at places where every tokenizer cuts anyway. Pure.

llama.cpp splits text by `std::regex` for the pre-tokenizers that have no splitter of their own. That engine recurses once
for each character of a match: 322 bytes of stack each (measured over all pre-tokenizers of 0.3.36), so that an unbroken run
of 30,000 letters ends the process. Special tokens are found in time that grows with the square of their number. Both
are bounded by the length of what llama.cpp gets at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

SEGMENT_CHARACTERS = 2048
"""Longest text that a byte-pair tokenizer gets at once: 660 KB of stack, of the 16 MiB that its thread has."""

# From the best place to the last resort. Before a blank that follows a word: no pre-tokenizer's match goes on there, except
# where one takes whole lines, so a line's end comes first. Marks and joiners belong to the character before them.
_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<=\w)(?=\n)",
        r"(?<=\w)(?=[ \t])",
        r"(?<=[^\s\w])(?=[ \t])",
        r"(?<=\w)(?=[^\w\s\u0300-\u036f\u200d\ufe0f])",
    )
)


class Segments:
    """Cuts text for one vocabulary."""

    def __init__(self, special: Collection[str], *, between_words: bool, size: int = SEGMENT_CHARACTERS) -> None:
        """Take the texts of the tokens that llama.cpp recognises before all others; no cut goes through one.

        `between_words`: the tokenizer splits text into words first, so it may also be cut there; without, only before
        a special token, because there every tokenizer starts over.
        """
        self._special = frozenset(text for text in special if text)
        self._lengths = sorted({len(text) for text in self._special}, reverse=True)
        first = "".join(sorted({re.escape(text[0]) for text in self._special}))
        self._first = re.compile(f"[{first}]") if first else None
        self._between_words = between_words
        self._size = size

    @property
    def special(self) -> frozenset[str]:
        """The texts of the tokens that llama.cpp recognises before all others."""
        return self._special

    def cut(self, text: str) -> Iterator[str]:
        """Yield the parts of `text` in order; a text that is short enough is one part."""
        start = 0
        while len(text) - start > self._size:
            end = self._word_end(text, start) if self._between_words else self._special_start(text, start)
            yield text[start:end]
            start = end
        yield text[start:]

    def _word_end(self, text: str, start: int) -> int:
        """Return the last good place in the second half of the longest segment that begins at `start`."""
        low, high = start + self._size // 2, start + self._size
        for place in _PLACES:
            for match in reversed([*place.finditer(text, low, high + 1)]):
                if low < match.start() <= high and self._token_over(text, match.start()) is None:
                    return match.start()
        over = self._token_over(text, high)
        # A special token longer than half a segment is cut through: none in use is, and the bound must hold.
        return over if over is not None and over > low else high

    def _special_start(self, text: str, start: int) -> int:
        """Return the start of a special token at the end of the longest segment, or after it; the end where none is."""
        if self._first is not None:
            for match in self._first.finditer(text, start + self._size):
                position = match.start()
                if self._token_at(text, position) and self._token_over(text, position) is None:
                    return position
        return len(text)

    def _token_at(self, text: str, position: int) -> int:
        """Return the length of the longest special token that begins at `position`, 0 where none does."""
        return next((size for size in self._lengths if text[position : position + size] in self._special), 0)

    def _token_over(self, text: str, position: int) -> int | None:
        """Return where the first special token begins that goes over `position`, None where none does."""
        if self._first is None:
            return None
        for match in self._first.finditer(text, max(0, position - self._lengths[0] + 1), position):
            if match.start() + self._token_at(text, match.start()) > position:
                return match.start()
        return None
