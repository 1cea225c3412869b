"""The state of one generation inside the engine: from its ticket to the token it will evaluate next.

Written by the engine thread only, except `Ticket.cancelled`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from slicewise_worker.engine.callers import BATCH_SHARE, LEAST_KEPT, Tenant, owner_of
from slicewise_worker.engine.kept import Cached
from slicewise_worker.engine.request import Broken, Chances, Event, Finished, FinishReason, Generation, Piece, Times
from slicewise_worker.engine.text import TextStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

S = TypeVar("S")


@dataclass(slots=True, eq=False)
class Ticket:
    """A submitted generation, as the one who asked for it holds it.

    `on_event` is called where the engine's `notify` says; `submitted` and `deadline` are monotonic, in seconds.
    """

    generation: Generation
    on_event: Callable[[Event], None]
    submitted: float
    deadline: float
    """When its time is over, waiting or running: what it has so far is no answer then."""
    tenant: Tenant = None
    held: int = 0
    """Tokens that are let go with it: those of its prompt, in the last of the choices that share it."""
    cancelled: bool = False
    times: Times = field(default_factory=Times)

    @property
    def constrained(self) -> bool:
        """Whether it takes the memory of a constraint."""
        constraint = self.generation.constraint
        return constraint is not None and constraint.takes_memory

    @property
    def constraint_bytes(self) -> int:
        """What its constraint holds while it waits."""
        constraint = self.generation.constraint
        return 0 if constraint is None else constraint.waiting_bytes

    def timed_out(self, now: float, when: str) -> Broken:
        """Return the end of a ticket whose time was over; `when` goes on from "was over"."""
        message = (
            f"the time allowed for the request was over {when}, {now - self.submitted:.1f} s after it was taken on"
        )
        return Broken("timeout", message)


@dataclass(slots=True, eq=False)
class Running(Generic[S]):
    """A ticket that holds a slot; `evaluated` tokens of it are in the KV cache.

    `sampler` is an opaque value here: the state machine knows no llama.cpp.
    """

    ticket: Ticket
    slot: int
    limit: int
    """Tokens to generate at most: what was asked for, and what the context has room for."""
    sampler: S
    text: TextStream = field(init=False)
    chances: list[Chances] = field(default_factory=list)
    """Of tokens whose text is not sent yet."""
    evaluated: int = 0
    follows: tuple[Running[S], int] | None = None
    """Who reads the same beginning just now, and how much of it: this one waits for that."""
    generated: int = 0
    sampled: array[int] = field(default_factory=lambda: array("i"))
    """The tokens that came after the prompt. The last is not evaluated yet, and after a pause the others are not either."""
    first_token_at: float | None = None
    token_at: float | None = None
    """When its last token came, by the engine's clock."""
    keeps_until: int = 0
    """Tokens generated, before which one of batch does not lose its slot to one that is not."""

    def __post_init__(self) -> None:
        self.text = TextStream(self.ticket.generation.stop)

    @property
    def adapter(self) -> str | None:
        """The adapter that all of it is computed with."""
        return self.ticket.generation.adapter

    @property
    def prompt_left(self) -> int:
        """Tokens to read before one can be sampled; 0 where only the one that was sampled last is to be evaluated."""
        left = len(self.ticket.generation.prompt) + len(self.sampled) - self.evaluated
        return 0 if left == 1 and self.sampled else left

    def keep_slot(self) -> None:
        """Keep the slot for some tokens, an eighth of those that are read for it if that is more: or it would read and never end."""
        self.keeps_until = self.generated + max(LEAST_KEPT, self.prompt_left // BATCH_SHARE)

    @property
    def tokens(self) -> NDArray[np.int32]:
        """All tokens of it, int32: those of the prompt, and those that were sampled."""
        return np.concatenate((np.asarray(self.ticket.generation.prompt, np.int32), np.asarray(self.sampled, np.int32)))

    @property
    def coming(self) -> Cached:
        """What it has in the cache, and what will be there when all its tokens are read."""
        return Cached(self.slot, owner_of(self.ticket.tenant), self.adapter, self.tokens, self.evaluated)

    @property
    def left_behind(self) -> Cached:
        """What it has in the cache."""
        coming = self.coming
        return replace(coming, tokens=coming.tokens[: self.evaluated])

    def take(self, count: int) -> Sequence[int]:
        """Return the next `count` tokens to evaluate; `evaluated` is their first position until `advance`."""
        prompt = self.ticket.generation.prompt
        start, end = self.evaluated - len(prompt), self.evaluated - len(prompt) + count
        if start >= 0:
            return self.sampled[start:end]
        if end <= 0:
            return prompt[self.evaluated : self.evaluated + count]
        return [*prompt[self.evaluated :], *self.sampled[:end]]

    def advance(self, count: int) -> None:
        """Note that `count` more tokens are in the cache."""
        self.evaluated += count

    def accept(self, token: int, piece: bytes, chances: Chances | None = None, *, ends: bool) -> Event | None:
        """Take a sampled token and return what to tell the client; None when no text became safe to send."""
        self.sampled.append(token)
        if ends:
            return self.finish("stop")
        self.generated += 1
        if chances is not None:
            self.chances.append(replace(chances, start=self.text.decoded))
        text = self.text.push(piece)
        if self.text.stopped:
            return Finished("stop", text, self.generated, self._begun(), self.text.stop)
        if (constraint := self.ticket.generation.constraint) is not None and constraint.done:
            return self.finish("stop", text)
        if self.generated >= self.limit:
            return self.finish("length", text)
        return Piece(text, self.generated, self._begun()) if text else None

    def finish(self, reason: FinishReason, text: str = "") -> Finished:
        """Return the end of the generation, with `text` and what was held back after it."""
        return Finished(reason, text + self.text.flush(), self.generated, tuple(self.chances))

    def _begun(self) -> tuple[Chances, ...]:
        """Return the chances of the tokens that begin in text that is safe to send; later ones wait for theirs."""
        count = bisect_left(self.chances, self.text.sent, key=lambda chances: chances.start)
        begun, self.chances = tuple(self.chances[:count]), self.chances[count:]
        return begun
