"""How long what waits will take, by what was measured while requests waited, and whether a request can begin in its time. Pure.

A step gives each running answer one token, and prompts share a chunk of it. So what waits takes at least as long as its prompts take in
full chunks, and at least as long as its slots are taken. The larger of the two is the estimate: it is too low rather than too high, and
nothing is refused because of a wrong guess at a mixture of long prompts and long answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, exp
from typing import Final

MOST_RETRY_SECONDS: Final = 60
"""The largest `Retry-After`: no estimate is good for longer, and a client that comes too early gets another one."""

_MEMORY_SECONDS: Final = 30.0
"""How long a step counts: after as many seconds of other steps, for 1/e."""
_LEAST_STEPS: Final = 16
"""Steps before a rate counts as measured."""
_ANSWER_SHARE: Final = 1 / 8
"""What the latest answer counts for in the mean length."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request that waits asks for: tokens of its prompt, and of its answer at most."""

    prompt: int
    answer: int


class _Rate:
    """An amount by the second, of the last half minute or so."""

    def __init__(self) -> None:
        self._amount = self._seconds = 0.0
        self._steps = 0

    def note(self, amount: float, seconds: float) -> None:
        kept = exp(-seconds / _MEMORY_SECONDS)
        self._amount = self._amount * kept + amount
        self._seconds = self._seconds * kept + seconds
        self._steps += 1

    @property
    def value(self) -> float | None:
        """Return it, None as long as it is not measured."""
        return self._amount / self._seconds if self._steps >= _LEAST_STEPS and self._seconds > 0 else None


class Pace:
    """What an engine with `slots` was measured to do. Steps count only while requests wait: an engine with less to do is slower."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._prompts = _Rate()
        self._steps = _Rate()
        self._answer: float | None = None

    def stepped(self, seconds: float, prompt_tokens: int, *, full: bool) -> None:
        """Note a step that ended while requests waited; `full` where it had as many tokens of prompts as a step may have."""
        self._steps.note(1, seconds)
        if full:
            self._prompts.note(prompt_tokens, seconds)

    def ended(self, tokens: int) -> None:
        """Note an answer of `tokens` that ended, in whatever way."""
        self._answer = tokens if self._answer is None else self._answer + (tokens - self._answer) * _ANSWER_SHARE

    def answer_tokens(self, most: int) -> float:
        """Return the tokens that an answer of at most `most` is expected to have."""
        return 0.0 if self._answer is None else min(most, self._answer)

    def reading(self, tokens: int) -> float:
        """Return the seconds that `tokens` of prompts take at least; 0 where that is not measured."""
        rate = self._prompts.value
        return tokens / rate if rate else 0.0

    def wait(self, before: Iterable[Asked]) -> float:
        """Return the seconds that what is `before` a request takes at least; 0 where nothing is, or nothing is measured."""
        entries = [*before]
        steps = self._steps.value
        prompts = self.reading(sum(entry.prompt for entry in entries))
        answers = sum(self.answer_tokens(entry.answer) for entry in entries) / steps if steps else 0.0
        return max(prompts, (prompts + answers) / self._slots)


@dataclass(frozen=True, slots=True)
class TooLate:
    """A request cannot begin in its time: it would wait for `wait` seconds, and has `left`. It may come again after `retry_after`."""

    wait: float
    left: float
    retry_after: int


def retry_after(seconds: float) -> int:
    """Return `seconds` as a client gets them: at least one, at most `MOST_RETRY_SECONDS`."""
    return max(1, min(MOST_RETRY_SECONDS, ceil(seconds)))


def too_late(wait: float, reading: float, left: float) -> TooLate | None:
    """Return why a request is refused that would `wait` for others, and whose prompt takes `reading`; None where it is not.

    All in seconds. Where nothing is before it, it is not refused: a measurement says nothing about an engine with less to do.
    """
    if wait <= 0 or wait + reading <= left:
        return None
    return TooLate(wait, left, retry_after(wait + reading - left))
