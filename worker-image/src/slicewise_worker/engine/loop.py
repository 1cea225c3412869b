"""The engine: one thread that owns the context and carries out one step after the other.

A step takes new requests, evaluates one batch (`schedule.plan_step` says what is in it), samples, and hands the tokens
over. Called by the HTTP side through `submit` and `cancel` from any thread; everything else happens in the thread.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from math import inf

import structlog

from slicewise_worker.engine.ahead import Ahead
from slicewise_worker.engine.llama import Batch, Context, Model
from slicewise_worker.engine.report import Progress, Step
from slicewise_worker.engine.request import (
    Broken,
    BrokenCode,
    ConstraintError,
    Event,
    Finished,
    Generation,
    Limits,
)
from slicewise_worker.engine.sampler import Sampler
from slicewise_worker.engine.schedule import Turns, Waiting, Work, plan_step
from slicewise_worker.engine.sequence import Running, Ticket
from slicewise_worker.engine.step_thread import StepThread
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST, Tenant

log = structlog.get_logger(__name__)

Notify = Callable[[list[tuple[Ticket, Event]]], None]
"""Gets the events of a step, in the engine thread; it hands them to each ticket's `on_event` where that may run."""

_MOST_MASK_THREADS = 4


class Engine(StepThread[Ticket]):
    """Generates many sequences at once over one context."""

    def __init__(self, model: Model, context: Context, limits: Limits, notify: Notify) -> None:
        super().__init__(limits)
        self.model = model
        self._context = context
        self._notify = notify
        self._batch = Batch(context.shape.batch)
        self._ahead = Ahead(min(context.shape.threads, _MOST_MASK_THREADS))
        self._running: dict[int, Running[Sampler]] = {}
        self._events: list[tuple[Ticket, Event]] = []
        self._free = list(range(limits.sequences - 1, -1, -1))
        self._turns = Turns()
        self._answered: Counter[Tenant] = Counter()
        """Tokens of answers that came in the step."""
        self._given_up = False
        self._next_deadline = inf
        """The first deadline of those who wait, or one that is over."""

    def _load(self) -> int:
        return len(self._waiting) + len(self._running)

    def _close(self) -> None:
        self._ahead.close()
        self._context.close()

    def submit(
        self,
        generations: Sequence[Generation],
        on_event: Sequence[Callable[[Event], None]],
        deadline: float,
        tenant: Tenant = None,
    ) -> list[Ticket]:
        """Queue all of `generations` or none; their events go to the `on_event` of the same index.

        What has not ended by `deadline` (monotonic, in seconds) ends as `Broken` with the code `timeout`, and what gives way to a
        tenant of whom less waits with the code `queue_full`.
        Raises `QueueFullError`, and `StoppedError` when the engine takes no more work. The caller has checked that each
        prompt holds at least one token and leaves room for one in `limits.context_tokens`.
        """
        now = time.monotonic()
        tickets = [
            Ticket(generation, sink, now, deadline, tenant, held)
            for generation, sink, held in zip(generations, on_event, _held(generations), strict=True)
        ]
        with self._changed:
            self._check_taking()
            load = self._load()
            self._admit_to_queue(tickets, tenant)
            if not load:
                self._since = now
            for ticket in tickets:
                self._waiting.push(ticket)
            self._next_deadline = min(self._next_deadline, deadline)
            self._changed.notify()
        return tickets

    def _admit_to_queue(self, tickets: Sequence[Ticket], tenant: Tenant) -> None:
        """Make room for `tickets`; raises `QueueFullError`."""
        more, places = len(tickets), self.limits.sequences + self.limits.max_queue - self._load()
        self._make_room(tenant, more, more - places, lambda _: 1, f"{len(self._waiting)} requests are waiting")
        held = self._prompt_tokens(())
        more, needed = sum(ticket.held for ticket in tickets), self._prompt_tokens(tickets) - self.limits.prompt_tokens
        self._make_room(
            tenant, more, needed, lambda ticket: ticket.held, f"the prompts of other requests hold {held} tokens"
        )

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
            )

    def _prompt_tokens(self, more: Sequence[Ticket]) -> int:
        """Return the tokens that all prompts hold, with those of `more`; one that several choices share counts once."""
        running = (sequence.ticket for sequence in self._running.values())
        prompts = {id(one.generation.prompt): one.generation.prompt for one in chain(running, self._waiting, more)}
        return sum(map(len, prompts.values()))

    def _turn(self) -> None:
        """Carry out one step. An event that is ready goes out before the next step begins."""
        started = time.monotonic()
        with self._changed:
            self._tell_who_gave_way()
            self._drop_ended(started)
            self._admit()
        if self._running:
            self._evaluate(self._plan(), started)
        with self._changed:
            for tenant, tokens in self._answered.items():
                self._waiting.charge(tenant, ANSWER_COST * tokens)
            self._answered.clear()
            self._since = time.monotonic()
        self._hand_over()

    def _drop_ended(self, now: float) -> None:
        """Let go of whom was given up, and of whose time is over."""
        if self._given_up or self._next_deadline <= now:
            self._waiting.keep(lambda ticket: not self._drop_waiting(ticket, now))
            self._next_deadline = min((ticket.deadline for ticket in self._waiting), default=inf)
        for sequence in list(self._running.values()):
            if sequence.ticket.cancelled:
                self._release(sequence, "cancelled")
            elif sequence.ticket.deadline <= now:
                done = f"after {sequence.generated} tokens" if sequence.generated else "while the prompt was read"
                self._events.append((sequence.ticket, sequence.ticket.timed_out(now, done)))
                self._release(sequence, "expired")
        self._given_up = False

    def _drop_waiting(self, ticket: Ticket, now: float) -> bool:
        if not ticket.cancelled and ticket.deadline > now:
            return False
        if not ticket.cancelled:
            self._events.append((ticket, ticket.timed_out(now, "while it waited for its turn")))
        if self.observer:
            self.observer.ended("cancelled" if ticket.cancelled else "expired", now - ticket.submitted, None)
        return True

    def _admit(self) -> None:
        while self._free and self._waiting:
            ticket, slot = self._waiting.pop(), self._free.pop()
            generation = ticket.generation
            self._waiting.charge(ticket.tenant, PROMPT_COST * len(generation.prompt))
            sampler = Sampler(self.model, generation, window=self.limits.context_tokens)
            room = self.limits.context_tokens - len(generation.prompt)
            self._running[slot] = Running(ticket, slot, min(generation.max_tokens, room), sampler)

    def _plan(self) -> list[Work]:
        """Return what is in the next step, and let the context compute it with the adapter whose turn it is."""
        ordered = sorted(self._running.values(), key=lambda sequence: sequence.ticket.submitted)
        adapter = self._turns.next([sequence.adapter for sequence in ordered])
        self._context.use(adapter)
        ordered = [sequence for sequence in ordered if sequence.adapter == adapter]
        decoding = [sequence.slot for sequence in ordered if not sequence.prompt_left]
        waiting = [
            Waiting(sequence.slot, sequence.prompt_left, sequence.ticket.tenant)
            for sequence in ordered
            if sequence.prompt_left
        ]
        return plan_step(decoding, waiting, self.limits.prompt_chunk_tokens)

    def _evaluate(self, work: Sequence[Work], started: float) -> None:
        self._batch.clear()
        sampled: list[tuple[Running[Sampler], int]] = []
        prompt_tokens = 0
        for item in work:
            sequence = self._running[item.slot]
            prompt_tokens += item.count if sequence.next_token is None else 0
            index = self._batch.add(item.slot, sequence.take(item.count), sequence.evaluated, output=item.last)
            if item.last:
                sampled.append((sequence, index))
        constraints = [one for sequence, _ in sampled if (one := sequence.ticket.generation.constraint) is not None]
        with self._ahead.preparing(constraints):
            result = self._context.decode(self._batch)
        if self.model.step_delay:
            time.sleep(self.model.step_delay)
        if result:
            self._give_up(work, result)
            return
        self._stepped()
        for item in work:
            self._running[item.slot].advance(item.count)
        for sequence, index in sampled:
            self._sample(sequence, index)
        seconds = time.monotonic() - started
        if self.observer:
            self.observer.stepped(Step(seconds, self._batch.size, prompt_tokens, len(sampled)))

    def _sample(self, sequence: Running[Sampler], index: int) -> None:
        try:
            token, chances = sequence.sampler.sample(self._context, index)
        except ConstraintError as error:
            self._break(
                sequence, "constraint_failed", f"generation broke off after {sequence.generated} tokens: {error}"
            )
            return
        if sequence.first_token_at is None:
            sequence.first_token_at = time.monotonic()
            if self.observer:
                self.observer.first_token(sequence.first_token_at - sequence.ticket.submitted)
        self._answered[sequence.ticket.tenant] += 1
        tokenizer, shown = self.model.tokenizer, sequence.ticket.generation.shown
        event = sequence.accept(token, tokenizer.piece(token, shown), chances, ends=tokenizer.ends(token))
        if event is not None:
            self._events.append((sequence.ticket, event))
        if isinstance(event, Finished):
            self._release(sequence, event.reason)

    def _give_up(self, work: Sequence[Work], result: int) -> None:
        """End the sequences of a batch that llama.cpp could not evaluate; the others and the queue go on."""
        log.error("llama_decode failed", code=result, sequences=len(work))
        message = f"generation broke off: llama.cpp could not evaluate the step (code {result})"
        for item in work:
            self._break(self._running[item.slot], "engine_failed", message)
        self._step_failed(result)

    def _break(self, sequence: Running[Sampler], code: BrokenCode, message: str) -> None:
        self._events.append((sequence.ticket, Broken(code, message)))
        self._release(sequence, "error")

    def _release(self, sequence: Running[Sampler], outcome: str) -> None:
        now = time.monotonic()
        seconds = now - sequence.ticket.submitted
        first, more = sequence.first_token_at, sequence.generated - 1
        per_token = None if first is None or more < 1 else (now - first) / more
        with self._changed:
            del self._running[sequence.slot]
            self._free.append(sequence.slot)
            self._took(seconds)
        self._context.forget(sequence.slot)
        sequence.sampler.close()
        if self.observer:
            self.observer.ended(outcome, seconds, per_token)

    def _hand_over(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._notify(events)

    def _end(self, entry: Ticket, broken: Broken) -> None:
        if not entry.cancelled:
            self._events.append((entry, broken))
        if self.observer:
            self.observer.ended("refused", time.monotonic() - entry.submitted, None)

    def _break_all(self, broken: Broken) -> None:
        with self._changed:
            tickets = [sequence.ticket for sequence in self._running.values()] + list(self._waiting)
            self._running.clear()
            self._waiting.clear()
            tickets += self._gave_way
        self._events += [(ticket, broken) for ticket in tickets if not ticket.cancelled]
        self._hand_over()


def _held(generations: Sequence[Generation]) -> list[int]:
    """Return the tokens that go with each of `generations`: a prompt counts with the last of the choices that share it."""
    after = [*generations[1:], None]
    return [
        0 if later is not None and later.prompt is one.prompt else len(one.prompt)
        for one, later in zip(generations, after, strict=True)
    ]
