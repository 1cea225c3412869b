"""What others see of the engine for text: requests come in and are given up here, from any thread.

What has come waits here until the engine's thread takes it on (`loop.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import chain
from math import inf

from slicewise_worker.engine.callers import NO_TENANT, Caller, Tenant
from slicewise_worker.engine.kept import Slots
from slicewise_worker.engine.pace import Asked
from slicewise_worker.engine.places import PlacedQueue
from slicewise_worker.engine.report import Progress
from slicewise_worker.engine.request import Broken, Event, Generation, Limits
from slicewise_worker.engine.sampler import Sampler
from slicewise_worker.engine.sequence import Running, Ticket
from slicewise_worker.engine.step_thread import Shortage, StepThread


class Front(StepThread[Ticket]):
    """Takes requests, each a ticket for one sequence, and says how it goes."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._waiting: PlacedQueue[Ticket] = PlacedQueue(limits.constrained)
        self._running: dict[int, Running[Sampler]] = {}
        """By slot."""
        self._slots = Slots(limits.sequences)
        self._paused: dict[Ticket, Running[Sampler]] = {}
        """Of those who wait: who had a slot before, and goes on where it was."""
        self._events: list[tuple[Ticket, Event]] = []
        self._given_up = False
        self._next_deadline = inf
        """The first deadline of those who wait, or one that is over."""

    def _load(self) -> int:
        return len(self._waiting) + len(self._running)

    def _begins_at_once(self, tenant: Tenant) -> bool:  # noqa: ARG002 - the same for all tenants
        return len(self._running) < self.limits.sequences

    def _asked(self, entry: Ticket) -> Asked:
        generation = entry.generation
        if (paused := self._paused.get(entry)) is not None:
            # What is read again after a pause is not charged either.
            return Asked(0, paused.limit - paused.generated)
        return Asked(len(generation.prompt), generation.max_tokens)

    def submit(
        self,
        generations: Sequence[Generation],
        on_event: Sequence[Callable[[Event], None]],
        deadline: float,
        caller: Caller = NO_TENANT,
    ) -> list[Ticket]:
        """Queue all of `generations` or none; their events go to the `on_event` of the same index.

        What has not ended by `deadline` (monotonic, in seconds) ends as `Broken` with the code `timeout`, and what is removed
        for a tenant of which less waits with the code `queue_full`.
        Raises `QueueFullError`, `TooLateError` where it cannot begin by `deadline`, and `StoppedError` when the engine takes
        no more work. The caller has checked that each prompt holds at least one token and leaves room for one in `limits.context_tokens`.
        """
        now, tenant = time.monotonic(), caller.tenant
        tickets = [
            Ticket(generation, sink, now, deadline, tenant, held)
            for generation, sink, held in zip(generations, on_event, _held(generations), strict=True)
        ]
        with self._changed:
            self._check_taking()
            self._waiting.weigh(tenant, caller.weight)
            load = self._load()
            self._check_in_time(tenant, sum(len(generation.prompt) for generation in generations), deadline - now)
            self._admit_to_queue(tickets, tenant)
            if not load:
                self._since = now
            for ticket in tickets:
                self._waiting.push(ticket)
            self._next_deadline = min(self._next_deadline, deadline)
            self._changed.notify()
        return tickets

    def _admit_to_queue(self, tickets: Sequence[Ticket], tenant: Tenant) -> None:
        """Make room for `tickets`; raises `QueueFullError`. What has begun is not removed."""
        count, tokens = len(tickets), self._prompt_tokens(())
        places = Shortage[Ticket](
            f"{len(self._waiting)} requests are waiting",
            count,
            self._load() + count - self.limits.sequences - self.limits.max_queue,
            lambda ticket: ticket not in self._paused,
        )
        prompts = Shortage[Ticket](
            f"the prompts of other requests hold {tokens} tokens",
            sum(ticket.held for ticket in tickets),
            self._prompt_tokens(tickets) - self.limits.prompt_tokens,
            lambda ticket: 0 if ticket in self._paused else ticket.held,
        )
        self._make_room(tenant, places, prompts, self._constraints(tickets))

    def _constraints(self, tickets: Sequence[Ticket]) -> Shortage[Ticket]:
        """Return what `tickets` lack of the memory for constraints that wait. Those that have begun have memory of their own."""

        def size(ticket: Ticket) -> int:
            return 0 if ticket in self._paused else ticket.constraint_bytes

        held, more = sum(map(size, self._waiting)), sum(map(size, tickets))
        what = f"the schemas and grammars of requests that wait hold {held >> 20} MiB"
        return Shortage(what, more, held + more - self.limits.waiting_constraint_bytes, size)

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Give up `tickets`: within one step their slots are free. Those that ended already are left alone."""
        with self._changed:
            for ticket in tickets:
                ticket.cancelled = True
            self._given_up = True
            self._changed.notify()

    def progress(self) -> Progress:
        """Return how it goes; from any thread."""
        with self._changed:
            running, waiting = list(self._running.values()), len(self._waiting)
            return Progress(
                steps=self._steps,
                busy=bool(running or waiting),
                since=self._since,
                failed=self._failed,
                running=len(running),
                waiting=waiting,
                cached_tokens=sum(sequence.evaluated for sequence in running),
                kept_tokens=self._slots.kept_tokens,
                constrained=self._waiting.places_used,
            )

    def _prompt_tokens(self, more: Sequence[Ticket]) -> int:
        """Return the tokens that all prompts hold, with those of `more`; one that several choices share counts once."""
        running = (sequence.ticket for sequence in self._running.values())
        prompts = {id(one.generation.prompt): one.generation.prompt for one in chain(running, self._waiting, more)}
        return sum(map(len, prompts.values()))

    def _drop_waiting(self, ticket: Ticket, now: float) -> bool:
        if not ticket.cancelled and ticket.deadline > now:
            return False
        if (paused := self._paused.pop(ticket, None)) is not None:
            paused.sampler.close()
        if not ticket.cancelled:
            done = f"after {paused.generated} tokens" if paused else "while it waited for its turn"
            self._events.append((ticket, ticket.timed_out(now, done)))
        if self.observer:
            self.observer.ended("cancelled" if ticket.cancelled else "expired", now - ticket.submitted, None)
        return True

    def _end(self, entry: Ticket, broken: Broken) -> None:
        if not entry.cancelled:
            self._events.append((entry, broken))
        if self.observer:
            self.observer.ended("refused", time.monotonic() - entry.submitted, None)


def _held(generations: Sequence[Generation]) -> list[int]:
    """Return the tokens that go with each of `generations`: a prompt counts with the last of the choices that share it."""
    after = [*generations[1:], None]
    return [
        0 if later is not None and later.prompt is one.prompt else len(one.prompt)
        for one, later in zip(generations, after, strict=True)
    ]
