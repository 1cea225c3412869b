"""Whether a grammar compiles within bounds, found out in a process of its own: `python -m slicewise_worker.engine.grammar_trial`.

llguidance bounds most of its work, and not all: whether several patterns of one string can hold at the same time, or whether a number
is a multiple of a large one, may keep it busy for years, or take a hundred MiB. A thread cannot be ended, a process can, and what it
holds can be measured. What compiles here compiles in the worker too, with the same work and memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Final

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from slicewise_worker.confine import confine
from slicewise_worker.engine.heap import heap_bytes

CPU_SECONDS: Final = 2.0
"""Processor time of one trial. Schemas that are in use take some milliseconds."""
EXTRA_BYTES: Final = 256 << 20
"""Memory beyond what the process starts with."""
COMPILED_BYTES: Final = 4 << 20
"""What a compiled grammar may hold before an answer begins. Schemas that are in use hold less than 1 MiB."""
_SECONDS: Final = 60.0
"""By the clock, for a process that gets no processor time; the bound for work is `CPU_SECONDS`."""
_REMEMBERED: Final = 1000
_INHERITED: Final = ("LD_LIBRARY_PATH",)
_REFUSED, _NO_MEMORY, _TOO_LARGE = 3, 4, 5
_SPECIAL: Final = re.compile(r"<[^<>\s\[\]]{1,100}>")


class GrammarError(Exception):
    """The grammar or schema is wrong, cannot be enforced, or goes over a bound; the message says which."""


class NoTimeError(GrammarError):
    """The trial got too little processor time."""


def limits() -> LLParserLimits:
    """Return the bounds of compiling a grammar and of using it."""
    return LLParserLimits(
        # Of compiling: about 0.2 s, of what they count.
        initial_lexer_fuel=1_000_000,
        max_grammar_size=250_000,
        # Else compiling depends on the vocabulary, which a trial does not have.
        precompute_large_lexemes=False,
        # Of each token. It bounds the size of one lexer state, and so the memory of all: schemas that are in use need far less.
        step_lexer_fuel=20_000,
        step_max_items=50_000,
        max_items_in_row=10_000,
        # Of memory: up to 2 KiB each with the fuel above, for one sequence.
        max_lexer_states=10_000,
        # Errors go to clients.
        verbose_errors=False,
    )


class UntriedError(Exception):
    """A trial has to come first: call `run`, which blocks, and ask again."""

    def __init__(self, trials: Trials, grammar: str) -> None:
        super().__init__("the grammar has not been tried yet")
        self._trials = trials
        self._grammar = grammar

    def run(self) -> None:
        """Try the grammar, so that what came of it is known."""
        with suppress(GrammarError):
            self._trials.passed(self._grammar)


class Trials:
    """Tries grammars, each once, one after the other. From any thread; what came of the last ones is remembered, refusals too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._known: OrderedDict[bytes, int | str] = OrderedDict()
        """Digest → what it holds in bytes, or why it was refused."""

    def passed(self, grammar: str, *, wait: bool = True) -> int:
        """Return the bytes that `grammar` holds once compiled; raises `GrammarError`, and `UntriedError` instead of waiting."""
        digest = hashlib.sha256(grammar.encode("utf-8", "replace")).digest()
        known = self._recall(digest)
        if known is None:
            if not wait:
                raise UntriedError(self, grammar)
            with self._trying:
                # Another thread may have tried the same one meanwhile.
                known = self._recall(digest)
                if known is None:
                    known = self._tried(digest, grammar)
        if isinstance(known, str):
            raise GrammarError(known)
        return known

    def _recall(self, digest: bytes) -> int | str | None:
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
            return self._known.get(digest)

    def _tried(self, digest: bytes, grammar: str) -> int | str:
        found: int | str
        try:
            found = _try(grammar)
        except NoTimeError:
            # Says more about the machine than about the grammar: not remembered.
            raise
        except GrammarError as error:
            found = str(error) or "it does not compile"
        with self._lock:
            self._known[digest] = found
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found


def _environment() -> dict[str, str]:
    """Return what Python needs to find the same packages, and no more: a worker's environment can hold secrets."""
    here = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
    packages = os.pathsep.join(path for path in sys.path if path)
    return {**here, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}


def _try(grammar: str) -> int:
    command = [sys.executable, "-sP", "-m", "slicewise_worker.engine.grammar_trial"]
    data = grammar.encode("utf-8", "replace")
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, env=_environment(), timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoTimeError(f"it did not compile in {_SECONDS:.0f} s") from error
    match done.returncode:
        case 0:
            return int(done.stdout)
        case code if code == _REFUSED:
            raise GrammarError(done.stdout.decode("utf-8", "replace"))
        case code if code == -signal.SIGPROF:
            raise GrammarError(f"it takes more than {CPU_SECONDS:.0f} s to compile: simplify its patterns and numbers")
        case code if code == _TOO_LARGE:
            words = "simplify its patterns and numbers, such as multipleOf of a large number"
            raise GrammarError(f"it holds more than {COMPILED_BYTES >> 20} MiB of memory once it is compiled: {words}")
        case code if code in (_NO_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
            raise GrammarError(f"it takes more than {EXTRA_BYTES >> 20} MiB of memory to compile")
        case code:
            raise GrammarError(f"it ends the process that compiles it (status {code})")


class _Bytes:
    """The vocabulary of a trial: each byte is a token, and so is each special token that the grammar may name.

    The work of compiling does not depend on it. Whether the worker's vocabulary has the special tokens is for the worker to say.
    """

    bos_token_id = None
    eos_token_id = 256

    def __init__(self, grammar: str) -> None:
        special = ["<|end of a trial|>", *dict.fromkeys(_SPECIAL.findall(grammar))]
        self.tokens = [*(bytes([byte]) for byte in range(256)), *(b"\xff" + name.encode() for name in special)]
        self.special_token_ids = list(range(256, len(self.tokens)))

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


def main() -> None:
    """Compile the grammar on standard input; what it holds in bytes, or what is wrong with it, goes to standard output."""
    grammar = sys.stdin.buffer.read().decode("utf-8", "replace")
    confine(EXTRA_BYTES)
    # Its default action ends the process, also in the middle of a long computation.
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        vocabulary = LLTokenizer(TokenizerWrapper(_Bytes(grammar)))
        before = heap_bytes()
        matcher = LLMatcher(vocabulary, grammar, log_level=0, limits=limits())
        trouble = matcher.get_error()
        if not trouble:
            matcher.compute_bitmask()
            trouble = f"no text fits it: {matcher.stop_reason()}" if matcher.is_error() else ""
    except MemoryError:
        sys.exit(_NO_MEMORY)
    if trouble:
        sys.stdout.write(" ".join(trouble.split())[:1000])
        sys.stdout.flush()
        sys.exit(_REFUSED)
    held = max(0, heap_bytes() - before)
    if held > COMPILED_BYTES:
        sys.exit(_TOO_LARGE)
    sys.stdout.write(str(held))


if __name__ == "__main__":
    main()
