"""The tokenizer of a model: text to tokens within bounds, tokens to bytes. May be used from any thread.

Of the modules that call llama.cpp, with `llama.py` and `sampler.py`.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Collection
from functools import cached_property
from itertools import repeat
from typing import Any, Final

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.plain import MARK, Plain
from slicewise_worker.engine.segments import SEGMENT_CHARACTERS, Segments

# The kinds of token that llama.cpp looks for in a text before it tokenizes the rest (llama.h).
_SPECIAL: Final = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_USER_DEFINED | api.LLAMA_TOKEN_ATTR_UNKNOWN
_LONGEST_PIECE: Final = 4096


class TooLongError(Exception):
    """The text cannot fit; `at_least` tokens are in it."""

    def __init__(self, at_least: int) -> None:
        super().__init__(f"at least {at_least} tokens")
        self.at_least = at_least


class GivenUpError(Exception):
    """The client that wanted the tokens has gone."""


def _wanted() -> bool:
    return True


class Tokenizer:
    """The vocabulary of a loaded model; `size` tokens."""

    def __init__(self, model: Any, segment: int = SEGMENT_CHARACTERS) -> None:
        """Read the texts that stand around a prompt. What bounds need is read at the first use: it takes a call for each token."""
        self._vocab: Any = api.llama_model_get_vocab(model)
        self.size: int = api.llama_vocab_n_tokens(self._vocab)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self.bos = self._special_text(api.llama_vocab_bos(self._vocab))
        self.eos = self._special_text(api.llama_vocab_eos(self._vocab))
        self.infill = self._infill()
        """The texts in front of a prompt, of what comes after the answer, and of the answer; None where the model has none."""
        self._byte_pairs = api.llama_vocab_type(self._vocab) == api.LLAMA_VOCAB_TYPE_BPE
        self._segment = segment
        framing = self._tokens("", frame=True)
        bos = 1 if framing[:1].tolist() == [api.llama_vocab_bos(self._vocab)] else 0
        self._head, self._tail = framing[:bos], framing[bos:]

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token: no text of more than this many bytes a token fits into a number of tokens."""
        # Loops in C: in Python they take as long as the vocabulary took to load. What a token stands for is never longer than
        # its text in the vocabulary, which marks blanks and bytes by more of them, and costs a third to read.
        lengths = list(map(len, map(api.llama_vocab_get_text, repeat(self._vocab), range(self.size))))
        buffer = ctypes.create_string_buffer(_LONGEST_PIECE)
        longest = 1
        for token in sorted(range(self.size), key=lengths.__getitem__, reverse=True):
            if lengths[token] <= longest:
                break
            piece = api.llama_token_to_piece(self._vocab, token, buffer, _LONGEST_PIECE, 0, True)
            longest = max(longest, abs(piece))
        return longest

    @cached_property
    def plain(self) -> Plain:
        """Marks texts in which no control token is to be recognised."""
        return Plain(self._survey[1])

    @property
    def _special(self) -> dict[str, int]:
        return self._survey[0]

    @cached_property
    def _survey(self) -> tuple[dict[str, int], set[str]]:
        """All special tokens by their texts, and the texts of control tokens."""
        special: dict[str, int] = {}
        control: set[str] = set()
        for token, kind in enumerate(map(api.llama_vocab_get_attr, repeat(self._vocab), range(self.size))):
            if kind & _SPECIAL:
                text = api.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")
                special[text] = token
                if not kind & api.LLAMA_TOKEN_ATTR_USER_DEFINED:
                    control.add(text)
        return special, control

    @cached_property
    def _segments(self) -> Segments:
        return Segments(set(self._special), between_words=self._byte_pairs, size=self._segment)

    def read_all(self) -> None:
        """Read off the vocabulary what bounds need, before requests wait for it."""
        _ = self.longest, self.plain, self._segments

    def at_once(self, text: str) -> array[int]:
        """Return the tokens of a text that is no longer than a segment."""
        return self._tokens(text, frame=True)

    def tokenize(self, text: str, most: int | None = None, wanted: Callable[[], bool] = _wanted) -> array[int]:
        """Return the tokens of `text`, its control tokens recognised but for marked ones, a BOS in front where the model wants one.

        Four bytes a token: as Python's numbers they would take nine times as much while a request waits.

        With `most`, raises `TooLongError` as soon as it is known that there are more tokens than that, for a text that
        is too long for any tokenization before it is touched. Raises `GivenUpError` once `wanted` says no, between segments.
        """
        # A surrogate has no bytes; what a client cannot send either becomes a question mark.
        text = text.encode("utf-8", "replace").decode()
        if most is not None and len(text.encode()) > most * self.longest:
            raise TooLongError(-(-len(text.encode()) // self.longest))
        frame = not (self.bos and text.startswith(self.bos))
        parts = [part for unmarked in text.split(MARK) for part in self._segments.cut(unmarked)]
        if len(parts) == 1:
            tokens = self._tokens(text, frame=frame)
        else:
            tokens = self._head[:] if frame else array("i")
            for part in parts:
                if not wanted():
                    raise GivenUpError
                if most is not None and len(tokens) > most:
                    break
                tokens += self._tokens(part, frame=False)
            if frame:
                tokens += self._tail
        if most is not None and len(tokens) > most:
            raise TooLongError(len(tokens))
        return tokens

    def text_only(self, text: str, most: int, wanted: Callable[[], bool] = _wanted) -> array[int]:
        """Return the tokens of `text` without a frame, nothing in it a control token. Raises as `tokenize` does."""
        data = text.encode("utf-8", "replace")
        if len(data) > most * self.longest:
            raise TooLongError(-(-len(data) // self.longest))
        text = data.decode()
        tokens = array("i")
        for part in self._segments.cut(text) if self._byte_pairs else (text,):
            if not wanted():
                raise GivenUpError
            tokens += self._tokens(part, frame=False, special=False)
            if len(tokens) > most:
                raise TooLongError(len(tokens))
        return tokens

    def control(self, text: str) -> array[int]:
        """Return the tokens of one of `special_texts`."""
        return self._tokens(text, frame=False)

    @property
    def frame(self) -> tuple[array[int], array[int]]:
        """The tokens that the model wants in front of a text, and behind it."""
        return self._head, self._tail

    @property
    def special_texts(self) -> frozenset[str]:
        """The texts that `tokenize` takes for control tokens."""
        return self._segments.special

    def piece(self, token: int, shown: Collection[int] = ()) -> bytes:
        """Return the bytes that `token` stands for; nothing for control tokens that are not `shown`."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._render(token, special=False)
        return piece or (self._render(token, special=True) if token in shown else piece)

    def written(self, token: int) -> bytes:
        """Return the bytes of `token` as its vocabulary writes it, control tokens too."""
        return self.piece(token) or self._render(token, special=True)

    def special(self, text: str) -> int | None:
        """Return the special token that is written as `text`, None for any other text."""
        return self._special.get(text)

    def mark(self, text: str) -> int | None:
        """Return the special token that is written as `text` where a grammar does not take it for text."""
        token = self._special.get(text)
        return token if token is not None and self._llguidance(token).startswith(b"\xff") else None

    def marks(self) -> list[int]:
        """Return all tokens that a grammar does not take for text, but for those that end a generation."""
        found = (token for token in self._special.values() if self._llguidance(token).startswith(b"\xff"))
        return sorted(token for token in found if not self.ends(token))

    def ends(self, token: int) -> bool:
        """Whether `token` ends a generation."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(api.llama_vocab_is_eog(self._vocab, token))
        return known

    @property
    def pointer(self) -> Any:
        """The handle of the vocabulary, for what else reads it."""
        return self._vocab

    def enders(self) -> list[int]:
        """Return the tokens that end a generation, the usual one first."""
        usual = api.llama_vocab_eos(self._vocab)
        found = (token for token in range(self.size) if api.llama_vocab_is_eog(self._vocab, token))
        return sorted(found, key=lambda token: token != usual)

    def texts(self) -> list[bytes]:
        """Return the bytes of every token as llguidance takes them: 0xFF in front of what is no text, nothing for what is unused."""
        return [self._llguidance(token) for token in range(self.size)]

    def _llguidance(self, token: int) -> bytes:
        kind = api.llama_vocab_get_attr(self._vocab, token)
        text = self._render(token, special=True)
        if kind & (api.LLAMA_TOKEN_ATTR_UNUSED | api.LLAMA_TOKEN_ATTR_UNKNOWN):
            return b""
        bracketed = text.startswith(b"<") and text.endswith(b">")
        marks = kind & api.LLAMA_TOKEN_ATTR_CONTROL or (kind & api.LLAMA_TOKEN_ATTR_USER_DEFINED and bracketed)
        return b"\xff" + text if marks else text

    def _tokens(self, text: str, *, frame: bool, special: bool = True) -> array[int]:
        data = text.encode()
        room = len(data) + 8
        while True:
            buffer = (api.llama_token * room)()
            count = api.llama_tokenize(self._vocab, data, len(data), buffer, room, frame, special)
            if count >= 0:
                return array("i", memoryview(buffer).cast("B")[: 4 * count].tobytes())
            room = -count

    def _render(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = api.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if count >= 0:
                return bytes(buffer.raw[:count])
            room = -count

    def _infill(self) -> tuple[str, str, str] | None:
        marks = (api.llama_vocab_fim_pre, api.llama_vocab_fim_suf, api.llama_vocab_fim_mid)
        before, after, middle = (self._special_text(mark(self._vocab)) for mark in marks)
        return (before, after, middle) if before and after and middle else None

    def _special_text(self, token: int) -> str:
        return "" if token < 0 else self._render(token, special=True).decode("utf-8", "replace")
