"""What the HTTP side asks of the engine and what it gets back. Values only."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KvType = Literal["f16", "q8_0", "q4_0"]
FlashAttention = Literal["Auto", "Enabled", "Disabled"]
"""How the KV cache holds its values."""

FinishReason = Literal["stop", "length"]
BrokenCode = Literal["engine_failed", "shutting_down", "timeout", "constraint_failed", "queue_full"]

TOKEN_BYTES = 4
"""Of a token in a prompt that waits or runs."""
CONSTRAINT_BYTES = 24 << 20
"""Of a constraint while its answer runs: the worst schemas that were found took 20.5 MiB within llguidance's limits (`grammar_trial`)."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Defaults are OpenAI's, and "off" for what OpenAI does not have."""

    temperature: float = 1.0
    """0 always takes the most likely token."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps all tokens."""
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token, what is added to its logit); the tokens are in the vocabulary."""
    seed: int | None = None
    """Same seed, prompt and parameters on the same worker build: same answer, if it was not paused
    and as much of its prompt was in the cache. None draws one."""


class ConstraintError(Exception):
    """A constraint failed in the middle of a generation; the message is fit for a client."""


class Constraint(Protocol):
    """What an answer must keep to, for one sequence. Built while a request is prepared, then the engine's: of one thread at a time."""

    def prepare(self) -> None:
        """Find out what may come next; `apply` does so too, where it has not been done. Called in a thread beside the engine's."""

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Make tokens that may not come next impossible; raises `ConstraintError`."""

    def accept(self, token: int) -> None:
        """Take the token that came, which ends no generation; raises `ConstraintError`."""

    def close(self) -> None:
        """Free its memory; it is not used after that."""

    @property
    def done(self) -> bool:
        """Whether the answer is whole, and nothing can follow."""

    @property
    def takes_memory(self) -> bool:
        """Whether it grows with the answer, up to `CONSTRAINT_BYTES`."""

    @property
    def waiting_bytes(self) -> int:
        """What it holds before its answer begins, in bytes."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One sequence to generate: a tokenized prompt and when to stop."""

    prompt: Sequence[int]
    """What the tokenizer returned, `TOKEN_BYTES` each: as Python's numbers they would take nine times as much."""
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    """Of this sequence alone: it moves on with each token."""
    logprobs: int | None = None
    """How many of the likeliest tokens to name at each place; None: no probabilities."""
    shown: frozenset[int] = frozenset()
    """Control tokens whose text is part of the answer, which others leave no text in."""
    adapter: str | None = None
    """Name of the adapter that is computed with; None: the model alone."""


@dataclass(slots=True)
class Times:
    """How long a sequence waited in the queue, in seconds, and when its first token came (monotonic); None: not yet.

    Written by the engine's thread. Kept apart from what holds the prompt, which goes at the end.
    """

    waited: float | None = None
    first_token: float | None = None
    cached: int = 0
    """Tokens of the prompt that were in the cache, and were not read for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the engine. `context_tokens` is per sequence, prompt and answer together."""

    context_tokens: int
    sequences: int
    prompt_chunk_tokens: int
    max_queue: int
    waiting_tokens: int = 4 << 20
    """What the prompts of all requests may hold beyond what the KV cache has room for."""
    constrained: int = 1
    """Sequences that run at the same time with a constraint that takes memory."""
    waiting_constraint_bytes: int = 32 << 20
    """What the constraints of all requests that wait may hold; one of them holds 4 MiB at most."""
    max_token_gap: float = inf
    """Seconds that an answer may wait for its next token; a step has fewer than `prompt_chunk_tokens` where it would take longer."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens that all prompts may hold together, waiting and running."""
        return self.context_tokens * self.sequences + self.waiting_tokens


@dataclass(frozen=True, slots=True)
class Chances:
    """A token that came out, and how likely the model held it and others, before temperature, bias and constraint.

    In arrays: as Python's numbers twenty of them would take ten times as much.
    """

    token: int
    logprob: float
    likeliest: array[int]
    logprobs: array[float]
    """Natural logarithms, of `likeliest`."""
    start: int = 0
    """The character of the answer that the token begins in."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that came out since the last piece, and the number of tokens generated so far."""

    text: str
    generated: int
    chances: tuple[Chances, ...] = ()
    """Of the tokens that begin in this text, where they were asked for."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The sequence ended as it should; `text` is what had been held back."""

    reason: FinishReason
    text: str
    generated: int
    chances: tuple[Chances, ...] = ()
    stop: str | None = None
    """The stop string that ended it."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The sequence ended because something failed; `message` is fit for a client, `code` is a fixed word."""

    code: BrokenCode
    message: str
    retry_after: int = 1
    """Advice to the client in seconds, where it is to come again."""


Event = Piece | Finished | Broken


class BusyError(Exception):
    """A request is not taken on because of what others ask for; `retry_after` is the advice to the client in seconds."""

    code: ClassVar[str]
    """A fixed word for programs."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(f"{message}; try again in {retry_after} s")
        self.retry_after = retry_after


class QueueFullError(BusyError):
    """As much waits as may wait."""

    code = "queue_full"


class TooLateError(BusyError):
    """What waits before the request takes longer than the request has time."""

    code = "deadline_unreachable"


class StoppedError(Exception):
    """The engine takes no requests: it is shutting down or has failed."""
