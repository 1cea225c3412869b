"""Grammars that an answer must keep to: which tokens may come next, by llguidance.

Compiled in the threads that prepare prompts (llguidance lets go of Python's lock meanwhile), once they have compiled in a process of
their own (`grammar_trial.py`); then used by the engine alone, through `request.Constraint`. All of it is bounded: the size of
what is compiled, the work and the memory of compiling, and the work for each token. What goes over a bound is a `GrammarError`, or a
`ConstraintError` once tokens come.
"""

from __future__ import annotations

import ctypes
import json
import re
import threading
from typing import Any, Final

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.grammar_trial import GrammarError, Trials, UntriedError, limits
from slicewise_worker.engine.request import ConstraintError
from slicewise_worker.engine.tokenizer import Tokenizer

__all__ = ["MOST_GRAMMAR", "GrammarConstraint", "GrammarError", "Grammars", "UntriedError"]

MOST_GRAMMAR: Final = 64 << 10
"""Characters of a grammar or a schema as JSON; OpenAI's own limit for all names and values of a schema is 120,000."""
_SPACE: Final = r"[\x20\x0A\x0D\x09]{1,40}"
"""Between two parts of a JSON text: without a bound a small model may write blanks until its tokens are used up."""
_COPY_BYTES: Final = 128 << 10
"""Of a matcher that shares with another one what was compiled: up to 0.08 MiB were measured."""
_LONGEST_WORDS: Final = 300
_NUMBERED: Final = re.compile(r"<\[[0-9,-]+\]>")


def _first_words(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_WORDS else f"{words[: _LONGEST_WORDS - 3]}..."


class GrammarConstraint:
    """Where one sequence stands in its grammar."""

    takes_memory = True

    def __init__(self, matcher: LLMatcher, size: int, compiled_bytes: int) -> None:
        """Take over `matcher`, for a vocabulary of `size` tokens; `compiled_bytes`: what it holds that no other one does."""
        self._matcher = matcher
        self._mask = np.zeros((size + 31) // 32, np.int32)
        self._size = size
        self._prepared = False
        """Whether the mask is that of this place."""
        self.waiting_bytes = compiled_bytes + self._mask.nbytes

    def copy(self) -> GrammarConstraint:
        """Return another one at the same place, for another sequence. What was compiled is shared."""
        return GrammarConstraint(self._matcher.deep_copy(), self._size, _COPY_BYTES)

    def prepare(self) -> None:
        """Compute the mask of this place, where it is not there yet. An error stays with the matcher, and `apply` raises it."""
        if not self._prepared:
            self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
            self._prepared = True

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Make tokens that may not come next impossible; raises `ConstraintError`."""
        self.prepare()
        if self._matcher.is_error():
            raise self._broken()
        if self.done:
            raise ConstraintError("nothing can follow, in the form that was asked for")
        allowed = np.unpackbits(self._mask.view(np.uint8), count=self._size, bitorder="little").view(np.bool_)
        if not allowed.any():
            raise ConstraintError("no token of this model continues the answer in the form that was asked for")
        logits[~allowed] = -np.inf

    def accept(self, token: int) -> None:
        """Take the token that came; raises `ConstraintError`."""
        self._prepared = False
        if not self._matcher.consume_token(token):
            raise self._broken()

    @property
    def done(self) -> bool:
        """Whether the answer is whole, and nothing can follow."""
        return bool(self._matcher.is_stopped())

    def close(self) -> None:
        """Free the grammar and its states: who reads an answer slowly keeps the rest of the request, and not these."""
        del self._matcher

    def _broken(self) -> ConstraintError:
        words = _first_words(self._matcher.get_error().removesuffix("<non-verbose/>"))
        return ConstraintError(f"the form that was asked for could not be kept: {words or 'the grammar failed'}")


class Grammars:
    """Compiles grammars for one vocabulary. From any thread; what llguidance needs of the vocabulary is made at the first use."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._trials = Trials()
        self._lock = threading.Lock()
        self._made: LLTokenizer | None = None

    def json_object(self, *, wait: bool = True) -> GrammarConstraint:
        """Return the constraint to any JSON object."""
        return self.json_schema({"type": "object"}, wait=wait)

    def json_schema(self, schema: dict[str, Any], *, wait: bool = True) -> GrammarConstraint:
        """Return the constraint to JSON texts of `schema`; raises `GrammarError`, for what cannot be enforced too.

        Without `wait` it raises `UntriedError` for one that was not tried yet, here and in `lark`.
        """
        if "x-guidance" in schema:
            raise GrammarError("the keyword 'x-guidance' is not supported")
        try:
            text = json.dumps(schema, allow_nan=False, separators=(",", ":"))
        except (ValueError, RecursionError) as error:
            raise GrammarError(f"it is no JSON: {error}") from error
        _check_size(text)
        try:
            grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": _SPACE})
        except ValueError as error:
            raise GrammarError(_first_words(str(error))) from error
        return self._compile(grammar, grammar, wait=wait)

    def lark(self, grammar: str, *, wait: bool = True) -> GrammarConstraint:
        """Return the constraint to texts of a grammar in llguidance's dialect of Lark; raises `GrammarError`.

        `%json {…}` embeds a schema, `<|name|>` is a special token of the vocabulary, and `<[7]>` or `<[2,5-9]>` are tokens by number.
        """
        _check_size(grammar)
        # A trial does not have this vocabulary. In a schema the same text may be replaced, with as much work.
        return self._compile(grammar, _NUMBERED.sub("<|numbered|>", grammar), wait=wait)

    def _compile(self, grammar: str, trial: str, *, wait: bool) -> GrammarConstraint:
        try:
            held = self._trials.passed(trial, wait=wait)
        except GrammarError as error:
            raise GrammarError(_first_words(str(error))) from error
        matcher = LLMatcher(self._vocabulary(), grammar, log_level=0, limits=limits())
        if matcher.is_error():
            raise GrammarError(_first_words(matcher.get_error()))
        constraint = GrammarConstraint(matcher, self._tokenizer.size, held)
        try:
            constraint.apply(np.zeros(self._tokenizer.size, np.float32))
        except ConstraintError as error:
            raise GrammarError(f"no text fits it: {error}") from error
        return constraint

    def _vocabulary(self) -> LLTokenizer:
        with self._lock:
            if self._made is None:
                tokenize = ctypes.cast(api._lib.llama_tokenize, ctypes.c_void_p).value
                self._made = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined] # not in its stubs
                    tokens=self._tokenizer.texts(),
                    vocab_ptr=self._tokenizer.pointer,
                    tokenize_fptr=tokenize,
                    eos_token=self._tokenizer.enders(),
                    slices=None,
                )
            return self._made


def _check_size(text: str) -> None:
    if len(text) > MOST_GRAMMAR:
        raise GrammarError(f"it has {len(text)} characters, and {MOST_GRAMMAR} is the most")
