"""Who runs next, in which slot, and from where: a sequence begins behind what the cache has of it, or will have in a moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from slicewise_worker.engine.callers import Tenant, is_batch, owner_of
from slicewise_worker.engine.front import Front
from slicewise_worker.engine.kept import LEAST_SHARED, Cached
from slicewise_worker.engine.llama import Context, Model
from slicewise_worker.engine.request import Limits
from slicewise_worker.engine.sampler import Sampler
from slicewise_worker.engine.schedule import Place, who_pauses
from slicewise_worker.engine.sequence import Running, Ticket
from slicewise_worker.engine.tenants import PROMPT_COST


class Placing(Front):
    """Gives slots to those who wait, and takes them back. All in the engine's thread."""

    def __init__(self, model: Model, context: Context, limits: Limits) -> None:
        super().__init__(limits)
        self.model = model
        self._context = context
        self._following: list[Running[Sampler]] = []
        """Who waits until another one has read the beginning of both their prompts."""
        self._repeatable: float = limits.context_tokens
        """Tokens that may be evaluated again now."""

    def _admit(self) -> None:
        """Let the next ones run, as far as there are slots, or some of a tenant that has more of them. With `_changed` held."""
        while self._waiting.ready:
            found = next(((tenant,) for tenant in self._in_turn() if self._slots or self._pause_for(tenant)), None)
            if found is None:
                break
            (tenant,) = found
            ticket = self._waiting.pop_of(tenant)
            paused = self._paused.pop(ticket, None)
            if paused is not None:
                # What it reads again is not charged: it is nothing that the tenant asked for.
                self._place(sequence := paused)
            else:
                sequence = self._begin(ticket)
            if paused is not None or self._waiting.passes(tenant):
                sequence.keep_slot()

    def _in_turn(self) -> Iterator[Tenant]:
        """Yield who begins next, and who may take a slot from others if that one cannot."""
        # Batch has its turn when a slot is free; one that is taken from another of batch is not for batch.
        tenant = self._waiting.next_tenant(batch=bool(self._slots))
        yield tenant
        # A tenant with fewer slots takes one though another was given a little less: that one would wait for an answer to end anyway.
        held = Counter(sequence.ticket.tenant for sequence in self._running.values())
        near = self._waiting.near(tenant, self.limits.context_tokens)
        if near:
            yield min(near, key=lambda one: (held[one] + 1) / self._waiting.weight(one))

    def _begin(self, ticket: Ticket) -> Running[Sampler]:
        """Let `ticket` run for the first time. What need not be read for it is not charged."""
        generation, tenant = ticket.generation, ticket.tenant
        prompt = len(generation.prompt)
        sampler = Sampler(self.model, generation, window=self.limits.context_tokens)
        sequence = Running(ticket, 0, min(generation.max_tokens, self.limits.context_tokens - prompt), sampler)
        shared = self._place(sequence)
        self._charge(tenant, PROMPT_COST * (prompt - shared), constrained=ticket.constrained)
        ticket.times.waited = time.monotonic() - ticket.submitted
        if self.observer:
            self.observer.begun(owner_of(tenant), ticket.times.waited, prompt)
        self._note_reused(sequence)
        return sequence

    def _place(self, sequence: Running[Sampler]) -> int:
        """Put `sequence` into a slot; return how many of its tokens are in the cache, or are being read for another one."""
        ticket = sequence.ticket
        taken = self._slots.take(
            owner_of(ticket.tenant),
            sequence.adapter,
            sequence.tokens,
            self._readers(ticket.tenant),
            shares=self._context.shares,
        )
        elder = None if taken.source is None else self._running.get(taken.source)
        sequence.slot, sequence.evaluated = taken.slot, 0
        self._running[taken.slot] = sequence
        if taken.source is None:
            self._context.forget(taken.slot)
        elif elder is None or taken.shared <= elder.evaluated:
            sequence.evaluated = self._context.reuse(taken.slot, taken.source, taken.shared)
        else:
            self._context.forget(taken.slot)
            sequence.follows = elder, taken.shared
            self._following.append(sequence)
            return taken.shared
        return sequence.evaluated

    def _readers(self, tenant: Tenant) -> Iterator[Cached]:
        """Yield what the running sequences of the same owner have in the cache, and of those that come before `tenant` what will be there.

        One that is not batch does not wait for one of batch, which may be paused for it.
        """
        for one in self._running.values():
            if owner_of(one.ticket.tenant) == owner_of(tenant):
                yield one.coming if is_batch(tenant) or not is_batch(one.ticket.tenant) else one.left_behind

    def _catch_up(self) -> None:
        """Let those who follow others go on, where the others have read what both begin with, or do not run any more."""
        left: list[Running[Sampler]] = []
        for sequence in self._following:
            if sequence.follows is None or self._running.get(sequence.slot) is not sequence:
                continue
            elder, shared = sequence.follows
            gone = self._running.get(elder.slot) is not elder
            if not gone and elder.evaluated < shared:
                left.append(sequence)
                continue
            sequence.follows = None
            if gone:
                ticket = sequence.ticket
                with self._changed:
                    self._charge(ticket.tenant, PROMPT_COST * shared, constrained=ticket.constrained)
            else:
                sequence.evaluated = self._context.reuse(sequence.slot, elder.slot, shared)
                self._note_reused(sequence)
        self._following = left

    def _note_reused(self, sequence: Running[Sampler]) -> None:
        """Note what a sequence that begins has not to read."""
        ticket = sequence.ticket
        ticket.times.cached = sequence.evaluated
        if self.observer and sequence.evaluated:
            self.observer.reused(owner_of(ticket.tenant), sequence.evaluated)

    def _charge(self, tenant: Tenant, cost: int, *, constrained: bool) -> None:
        self._waiting.charge(tenant, cost)
        if constrained:
            self._waiting.charge_place(tenant, cost)

    def _pause_for(self, tenant: Tenant) -> bool:
        """Free a slot for `tenant`; False where none is due, or more would be read again than the share that is for it.

        What one of batch reads again for one that is not is no part of the share: it keeps its slot long enough after that.
        """
        ordered = sorted(self._running.values(), key=lambda sequence: sequence.ticket.submitted)
        places = [Place(one.slot, one.ticket.tenant, one.evaluated, one.generated < one.keeps_until) for one in ordered]
        place = who_pauses(places, tenant, self._waiting.weight)
        if place is None:
            return False
        cost = 0 if is_batch(place.tenant) and not is_batch(tenant) else place.tokens
        if cost > self._repeatable:
            return False
        self._repeatable -= cost
        sequence = self._running.pop(place.slot)
        sequence.follows = None
        self._paused[sequence.ticket] = sequence
        self._waiting.push_first(sequence.ticket)
        self._next_deadline = min(self._next_deadline, sequence.ticket.deadline)
        self._free(sequence, keep=False)
        return True

    def _free(self, sequence: Running[Sampler], *, keep: bool) -> None:
        """Take back the slot of one that runs no more, and `keep` what it has in the cache if that is worth it. With `_changed` held."""
        if keep and sequence.evaluated >= LEAST_SHARED:
            self._slots.keep(sequence.left_behind)
        else:
            self._slots.free(sequence.slot)
            self._context.forget(sequence.slot)
