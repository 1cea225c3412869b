"""What the engine says about itself, for the probes and the metrics. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from slicewise_worker.engine.callers import Owner


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: `seconds` for the whole of it."""

    seconds: float
    batch_tokens: int
    prompt_tokens: int
    generated_tokens: int
    chunk: int | None = None
    """Prompt tokens that the step could have; None for a step without prompts."""
    gap: float | None = None
    """The longest time, in seconds, between the tokens that came and those before them in the same answers; None where there are none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """For the liveness probe: whether there is work, and when (monotonic seconds) a step last ended or work came."""

    steps: int
    busy: bool
    since: float
    failed: str | None
    running: int
    waiting: int
    cached_tokens: int
    kept_tokens: int = 0
    """Tokens of sequences that ended, which stay in the cache until their room is needed."""
    constrained: int = 0
    """Sequences that keep to a form and have the memory for it."""


class Observer(Protocol):
    """What wants to know about the engine's work; called in the engine thread, so it must be quick."""

    def stepped(self, step: Step) -> None:
        """A step ended."""

    def begun(self, tenant: Owner, seconds: float, prompt_tokens: int) -> None:
        """A request of `tenant` was begun `seconds` after it was submitted."""

    def reused(self, tenant: Owner, tokens: int) -> None:
        """Of the prompt of a request of `tenant`, `tokens` were in the cache and are not read again."""

    def generated(self, tenant: Owner, tokens: int) -> None:
        """In a step, `tokens` of the answers of `tenant` came out."""

    def first_token(self, seconds: float) -> None:
        """The first token of a request came out `seconds` after it was submitted."""

    def ended(self, outcome: str, seconds: float, token_seconds: float | None) -> None:
        """A request ended; `token_seconds` is the mean time between its tokens, None below two tokens."""
