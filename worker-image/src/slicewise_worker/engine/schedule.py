"""Which sequence gets how many tokens in the next step. Pure: no llama.cpp, no clock.

Called by the engine loop once a step. Replacing the policy (priorities, a chunk from a cost model) means
replacing `plan_step`; the loop only carries out what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from slicewise_worker.engine.callers import BATCH_SHARE, Tenant, Weight, is_batch, peers

TURN_STEPS: Final = 4
"""Steps with one adapter before another one's turn: llama.cpp plans its buffers again at each change, which takes a part of a step."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sequence of which `left` prompt tokens are not evaluated yet."""

    slot: int
    left: int
    tenant: Tenant = None


@dataclass(frozen=True, slots=True)
class Work:
    """`count` tokens of the sequence in `slot`; `last` when the step ends with the token to sample after."""

    slot: int
    count: int
    last: bool


def _alike(_tenant: Tenant) -> int:
    return 1


def _nothing(_tenant: Tenant) -> float:
    return 0.0


def plan_step(
    decoding: Sequence[int],
    waiting: Sequence[Waiting],
    chunk: int,
    weight: Weight = _alike,
    given: Callable[[Tenant], float] = _nothing,
    *,
    spread: bool = False,
) -> list[Work]:
    """Return the work of one step: one token for each decoding slot and at most `chunk` (≥ 1) prompt tokens.

    `decoding` holds the slots that wait for their next token, `waiting` the prompts in order of arrival. The tenant that was `given` least
    for its weight gets the chunk until it has as much as the next, and from then on both in proportion to their weights. Of that the
    tenant's oldest prompt gets at least half, so that it always ends; the rest goes to whoever has least left, so that a short question
    does not wait for a long one. A decoding slot never waits, batch or not: the step is bounded by `len(decoding) + chunk` tokens, which
    is what bounds the gap between two of its tokens.

    With `spread` a tenant that has as many prompts as tokens to read, or more, gets one token of each, the oldest first: they are computed
    together with those of answers, which costs less than as many tokens of one prompt.
    """
    behind = [prompt for prompt in waiting if is_batch(prompt.tenant)]
    others = [prompt for prompt in waiting if not is_batch(prompt.tenant)]
    deal = _deal_evenly if spread else _deal
    counts = _deal_to_tenants(others, chunk - _kept(behind, chunk) if others else 0, weight, given, deal)
    counts |= _deal_to_tenants(behind, chunk - sum(counts.values()), weight, given, deal)
    work = [Work(slot, 1, last=True) for slot in decoding]
    work += [
        Work(prompt.slot, count, last=count == prompt.left) for prompt in waiting if (count := counts[prompt.slot])
    ]
    return work


def _kept(behind: Sequence[Waiting], chunk: int) -> int:
    """Return what of `chunk` is kept for prompts of batch: an eighth as far as they want it, at least a token of a chunk of several."""
    return min(sum(prompt.left for prompt in behind), max(min(1, chunk - 1), chunk // BATCH_SHARE))


def _deal_to_tenants(
    waiting: Sequence[Waiting],
    chunk: int,
    weight: Weight,
    given: Callable[[Tenant], float],
    deal: Callable[[Sequence[Waiting], int], list[int]],
) -> dict[int, int]:
    """Return the tokens that each slot gets of `chunk`; `deal` divides what a tenant gets."""
    of_tenants: dict[Tenant, list[Waiting]] = {}
    for prompt in waiting:
        of_tenants.setdefault(prompt.tenant, []).append(prompt)
    wants = [sum(prompt.left for prompt in prompts) for prompts in of_tenants.values()]
    shares = _part(wants, [*map(weight, of_tenants)], [*map(given, of_tenants)], chunk)
    return {
        prompt.slot: count
        for prompts, share in zip(of_tenants.values(), shares, strict=True)
        for prompt, count in zip(prompts, deal(prompts, share), strict=True)
    }


def _part(wants: Sequence[int], weights: Sequence[int], had: Sequence[float], whole: int) -> list[int]:
    """Return the parts of `whole`: of those who want this much and `had` that much for their weights, who had least is raised first.

    Nothing is left while one wants more.
    """
    level = _level(wants, weights, had, whole)
    raised = [weight * (level - before) for weight, before in zip(weights, had, strict=True)]
    parts = [max(0, min(want, int(part))) for want, part in zip(wants, raised, strict=True)]
    left = min(whole, sum(wants)) - sum(parts)
    # Parts are whole tokens, so that a few are left: fewer than there are tenants, and one for each that is nearest to its next.
    for index in sorted(range(len(wants)), key=lambda index: (parts[index] - raised[index], index)):
        more = min(left, 1, wants[index] - parts[index])
        parts[index] += more
        left -= more
    return parts


def _level(wants: Sequence[int], weights: Sequence[int], had: Sequence[float], whole: int) -> float:
    """Return to which level `whole` raises all, each as far as it wants."""
    changes = []
    for want, weight, before in zip(wants, weights, had, strict=True):
        changes += [(before, weight), (before + want / weight, -weight)]
    slope, filled, at = 0, 0.0, 0.0
    for level, change in sorted(changes):
        more = slope * (level - at)
        if filled + more >= whole and slope:
            return at + (whole - filled) / slope
        filled, slope, at = filled + more, slope + change, level
    return at


def deal_inputs(left: Sequence[Sequence[int]], tokens: int, most: int) -> list[int]:
    """Return how many inputs of each request go into a step of at most `most` inputs and `tokens` tokens, each input whole.

    `left` holds the sizes of the inputs that a request still has, in their order; the first request's first one always fits. Requests get
    one input in turn, so that a short question does not wait for the thousands of another; the caller lets each be first in turn.
    """
    taken = [0] * len(left)
    wants = list(range(len(left)))
    while wants and most:
        still = []
        for index in wants[:most]:
            sizes, at = left[index], taken[index]
            if at < len(sizes) and sizes[at] <= tokens:
                taken[index] += 1
                tokens -= sizes[at]
                still.append(index)
        wants, most = still, most - len(still)
    return taken


def deal_by_class(
    left: Sequence[Sequence[int]], batch: Sequence[bool], tokens: int, most: int, *, batch_first: bool
) -> list[int]:
    """Return as `deal_inputs` for requests of which some are `batch`: these get what the others leave, or the others what they leave."""
    taken = [0] * len(left)
    for turn in (batch_first, not batch_first):
        found = [index for index, behind in enumerate(batch) if behind == turn]
        for index, count in zip(found, deal_inputs([left[index] for index in found], tokens, most), strict=True):
            taken[index] = count
            tokens -= sum(left[index][:count])
            most -= count
    return taken


class Turns:
    """Whose turn it is: a step computes with one adapter, so only sequences of the same adapter share it.

    The adapter whose last turn is longest ago is next, so each waits for at most one turn of every other.
    """

    def __init__(self) -> None:
        self._now: str | None = None
        self._left = 0
        self._count = 0
        self._last: dict[str | None, int] = {}

    def next(self, adapters: Sequence[str | None]) -> str | None:
        """Return the adapter of the next step; `adapters` holds that of each running sequence, the oldest first, and is not empty."""
        if not self._left or self._now not in adapters:
            self._now = min(adapters, key=lambda adapter: self._last.get(adapter, 0))
            self._left = TURN_STEPS
            self._count += 1
            self._last[self._now] = self._count
        self._left -= 1
        return self._now


def _deal_evenly(waiting: Sequence[Waiting], chunk: int) -> list[int]:
    """Return one token for each of the oldest prompts; where there are fewer prompts than tokens, as `_deal`."""
    if chunk > len(waiting):
        return _deal(waiting, chunk)
    return [1] * chunk + [0] * (len(waiting) - chunk)


def _deal(waiting: Sequence[Waiting], chunk: int) -> list[int]:
    """Return how many of `chunk` tokens each prompt gets; all of them are dealt while any prompt wants one."""
    shares = [0] * len(waiting)
    if not waiting:
        return shares
    shares[0] = min(waiting[0].left, (chunk + 1) // 2)
    left = chunk - shares[0]
    for index in sorted(range(len(waiting)), key=lambda index: (waiting[index].left, index)):
        more = min(waiting[index].left - shares[index], left)
        shares[index] += more
        left -= more
    return shares


@dataclass(frozen=True, slots=True)
class Place:
    """A sequence that runs: `tokens` of it are in the cache, and would be read again after a pause."""

    slot: int
    tenant: Tenant
    tokens: int
    spared: bool = False
    """Of batch, and keeps its slot for now."""


def who_pauses(places: Sequence[Place], tenant: Tenant, weight: Weight = _alike) -> Place | None:
    """Return which of `places`, in order of arrival, is to wait so that one of `tenant` can run: None where all have as many as it.

    For one that is not batch it is one of batch, if any is not spared. Otherwise it is of the tenant that has most for its weight, and
    after that has no fewer for it than `tenant`. Of those it is the one that costs least, the newest of several; never is it one that is
    not batch for one that is.
    """
    if not is_batch(tenant):
        behind = [place for place in reversed(places) if is_batch(place.tenant) and not place.spared]
        if behind:
            return min(behind, key=lambda place: place.tokens)
    counts = Counter(peers(tenant, (place.tenant for place in places)))
    most = max(counts, key=lambda one: (counts[one] - 1) / weight(one), default=tenant)
    if most == tenant or (counts[most] - 1) * weight(tenant) < (counts[tenant] + 1) * weight(most):
        return None
    return min((place for place in reversed(places) if place.tenant == most), key=lambda place: place.tokens)
