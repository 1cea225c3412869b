"""The engine: one thread that owns the context and carries out one step after the other.

A step takes new requests, evaluates one batch (`schedule.plan_step` says what is in it), samples, and hands the tokens
over. Called by the HTTP side through `submit` and `cancel` from any thread; everything else happens in the thread.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from math import inf

import structlog

from slicewise_worker.engine.ahead import Ahead
from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.callers import Tenant, owner_of
from slicewise_worker.engine.chunk import Chunks
from slicewise_worker.engine.llama import Context, Model
from slicewise_worker.engine.placing import Placing
from slicewise_worker.engine.recent import Recent
from slicewise_worker.engine.report import Step
from slicewise_worker.engine.request import (
    Broken,
    BrokenCode,
    Chances,
    ConstraintError,
    Event,
    Finished,
    Limits,
)
from slicewise_worker.engine.sampler import Sampler
from slicewise_worker.engine.schedule import TURN_STEPS, Turns, Waiting, Work, plan_step
from slicewise_worker.engine.sequence import Running, Ticket
from slicewise_worker.engine.step_cost import Load
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST

log = structlog.get_logger(__name__)

Notify = Callable[[list[tuple[Ticket, Event]]], None]
"""Gets the events of a step, in the engine thread; it hands them to each ticket's `on_event` where that may run."""

_MOST_MASK_THREADS = 4

_REPEATED_SHARE = 0.02
"""Of all tokens that are evaluated, those that were before: what pausing may cost."""

_OBSERVED_STEPS = 4
"""Of steps without prompts one in four is observed: there are many of them, and all are alike."""


class Engine(Placing):
    """Generates many sequences at once over one context."""

    def __init__(
        self,
        model: Model,
        context: Context,
        limits: Limits,
        notify: Notify,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an engine that is not started. `clock`: seconds, of which the difference is what a step took."""
        super().__init__(model, context, limits)
        self._notify, self._clock = notify, clock
        self._batch = Batch(context.shape.batch)
        self._ahead = Ahead(min(context.shape.threads, _MOST_MASK_THREADS))
        self._turns = Turns()
        self._recent = Recent()
        self._chunks = Chunks(limits.prompt_chunk_tokens, limits.max_token_gap)
        self._took: tuple[float, int] | None = None
        """Seconds of the step, and tokens of prompts in it; None where it failed."""
        self._answered: Counter[tuple[Tenant, bool]] = Counter()
        """Tokens of answers that came in the step, by tenant and whether the answer is constrained."""

    def _close(self) -> None:
        self._ahead.close()
        self._context.close()

    def _turn(self) -> None:
        """Carry out one step. An event that is ready goes out before the next step is computed."""
        started = self._clock()
        with self._changed:
            self._tell_removed()
            self._drop_ended(time.monotonic())
            self._admit()
            contended = self._waiting.ready
        if self._running:
            self._evaluate(self._plan(), started)
        with self._changed:
            for (tenant, constrained), tokens in self._answered.items():
                self._charge(tenant, ANSWER_COST * tokens, constrained=constrained)
                if self.observer:
                    self.observer.generated(owner_of(tenant), tokens)
            self._answered.clear()
            if self._took is not None and contended:
                seconds, tokens = self._took
                self._pace.stepped(seconds, tokens, full=tokens >= self._chunks.now)
            self._took = None
            self._since = time.monotonic()
        if not self._running:
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

    def _plan(self) -> list[Work]:
        """Return what is in the next step, and let the context compute it with the adapter whose turn it is."""
        self._catch_up()
        going = (sequence for sequence in self._running.values() if sequence.follows is None)
        ordered = sorted(going, key=lambda sequence: sequence.ticket.submitted)
        adapters = [sequence.adapter for sequence in ordered]
        adapter = self._turns.next(adapters)
        self._context.use(adapter)
        answers = [sequence for sequence in ordered if not sequence.prompt_left]
        ordered = [sequence for sequence in ordered if sequence.adapter == adapter]
        decoding = [sequence.slot for sequence in ordered if not sequence.prompt_left]
        waiting = [
            Waiting(sequence.slot, sequence.prompt_left, sequence.ticket.tenant)
            for sequence in ordered
            if sequence.prompt_left
        ]
        weight = self._waiting.weight
        if waiting:
            cached = max(self._running[prompt.slot].evaluated for prompt in waiting)
            share = 1 + (len(set(adapters)) - 1) * TURN_STEPS
            pairs = sum(sequence.evaluated for sequence in answers)
            self._chunks.choose(len(answers), pairs, cached, share, len(waiting))
        work = plan_step(decoding, waiting, self._chunks.now, weight, self._recent.given, spread=self._chunks.spread)
        self._recent.stepped()
        for item in work:
            sequence = self._running[item.slot]
            cost = PROMPT_COST * item.count if sequence.prompt_left else ANSWER_COST
            self._recent.note(sequence.ticket.tenant, cost / weight(sequence.ticket.tenant))
        return work

    def _evaluate(self, work: Sequence[Work], started: float) -> None:
        self._batch.clear()
        sampled: list[tuple[Running[Sampler], int]] = []
        prompt_tokens, with_answers, pairs = 0, 0, 0.0
        by_slot = {item.slot: item for item in work}
        for slot in sorted([*by_slot, *self._context.padding.idle_between(by_slot)]):
            if (item := by_slot.get(slot)) is None:
                self._context.padding.add(self._batch, slot)
                continue
            sequence = self._running[slot]
            if sequence.prompt_left:
                prompt_tokens += item.count
                with_answers += self._chunks.spread
            pairs += item.count * (sequence.evaluated + item.count / 2)
            index = self._batch.add(slot, sequence.take(item.count), sequence.evaluated, output=item.last)
            if item.last:
                sampled.append((sequence, index))
        tokens = self._batch.size - len(self._context.padding.slots)
        constraints = [one for sequence, _ in sampled if (one := sequence.ticket.generation.constraint) is not None]
        # Who gets the events works on them while llama.cpp computes, and keeps the interpreter from this thread only then.
        self._hand_over()
        with self._ahead.preparing(constraints):
            result = self._context.decode(self._batch)
        if self.model.step_delay:
            time.sleep(self.model.step_delay)
        if result:
            self._give_up(work, result)
            return
        self._stepped()
        self._repeatable = min(self._repeatable + tokens * _REPEATED_SHARE, self.limits.context_tokens)
        for item in work:
            self._running[item.slot].advance(item.count)
        # Before one of them ends, with its first token perhaps, and lets go of what others wait for.
        self._catch_up()
        self._sample(sampled)
        ended = self._clock()
        seconds = ended - started
        self._took = seconds, prompt_tokens
        if prompt_tokens or self._steps % _OBSERVED_STEPS == 0:
            self._chunks.observe(
                Load(prompt_tokens - with_answers, tokens - prompt_tokens + with_answers, pairs), seconds
            )
        if self.observer:
            chunk = self._chunks.now if prompt_tokens else None
            self.observer.stepped(Step(seconds, tokens, prompt_tokens, len(sampled), chunk, _gap(sampled, ended)))

    def _sample(self, sampled: Sequence[tuple[Running[Sampler], int]]) -> None:
        """Let each of `sampled` take its next token, by the logits at its place in the batch."""
        if not sampled:
            return
        logits = self._context.outputs(len(sampled))
        likely = logits.argmax(axis=1) if any(sequence.sampler.greedy for sequence, _ in sampled) else repeat(0)
        for (sequence, index), row, likeliest in zip(sampled, logits, likely, strict=False):
            try:
                token, chances = sequence.sampler.sample(self._context, index, row, int(likeliest))
            except ConstraintError as error:
                message = f"generation broke off after {sequence.generated} tokens: {error}"
                self._break(sequence, "constraint_failed", message)
            else:
                self._take(sequence, token, chances)

    def _take(self, sequence: Running[Sampler], token: int, chances: Chances | None) -> None:
        """Let `sequence` go on with `token`, or end with it."""
        if sequence.first_token_at is None:
            sequence.first_token_at = sequence.ticket.times.first_token = time.monotonic()
            if self.observer:
                self.observer.first_token(sequence.first_token_at - sequence.ticket.submitted)
        self._answered[sequence.ticket.tenant, sequence.ticket.constrained] += 1
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
            self._free(sequence, keep=outcome != "error")
            self._waiting.leave(sequence.ticket)
            self._pace.ended(sequence.generated)
        sequence.sampler.close()
        if self.observer:
            self.observer.ended(outcome, seconds, per_token)

    def _hand_over(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._notify(events)

    def _break_all(self, broken: Broken) -> None:
        with self._changed:
            tickets = [sequence.ticket for sequence in self._running.values()] + list(self._waiting)
            self._running.clear()
            self._waiting.clear()
            tickets += self._removed
        self._events += [(ticket, broken) for ticket in tickets if not ticket.cancelled]
        self._hand_over()


def _gap(sampled: Sequence[tuple[Running[Sampler], int]], now: float) -> float | None:
    """Return the longest time since the last token of those that got one; None where it was the first token of each."""
    gap = None
    for sequence, _ in sampled:
        if sequence.token_at is not None:
            gap = max(gap or 0.0, now - sequence.token_at)
        sequence.token_at = now
    return gap
