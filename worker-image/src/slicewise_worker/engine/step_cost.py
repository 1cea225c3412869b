"""What a step costs, by what steps took: a linear model that is fitted while the engine runs. Pure: times come in.

    seconds = a + b * prompt tokens + c * answers + d * pairs

llama.cpp computes a step in passes of sequences with as many tokens each: one with a token of each sequence, and others with what prompts
have beyond it. Where a step has many prompts and little of each, their first tokens therefore cost what those of answers do, and count
as such here.

`pairs` are of a token that is computed and a token before it that it looks at: what attention reads. None of the four is negative. Old
steps count less and less, and steps with and without prompts are forgotten apart: after minutes of answers only, a prompt's cost is known
as well as before. One step that took far too long, because the machine did something else, counts for less than any other. After three of
them in a row the machine itself is slower: all that was observed counts as if it had been as slow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

_MEMORY: Final = 0.96
"""What a step counts for beside the next one of its kind: some 25 are known well."""
_SWEEPS: Final = 8
"""Over the four numbers, from where the last ones ended. The sum of squares falls with each."""
_RECENT: Final = 16
_OUTLIERS: Final = 2
"""Of the recent steps: two may be as slow as they like and mean nothing."""
_ORDER: Final = (1, 3, 2, 0)
"""Of the numbers in a sweep: as long as little is known, tokens of prompts are taken to be what costs."""
_ALIKE: Final = 3
"""Steps in a row that took `_OFF` times as long as expected, or as short: the machine is another one."""
_OFF: Final = 1.25
_PAIRS_UNIT: Final = 1024.0
_LEAST_SECONDS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Load:
    """What a step computes."""

    prompt: int
    """Tokens of prompts."""
    answers: int
    """Tokens of answers, one each, and those of prompts that are computed with them."""
    pairs: float
    """For each token of either, the tokens of its sequence up to it, in sum."""


class _Sums:
    """Weighted sums of products, which the squares to minimize are made of."""

    def __init__(self) -> None:
        self.products = [[0.0] * 4 for _ in range(4)]
        self.seconds = [0.0] * 4

    def add(self, row: tuple[float, ...], seconds: float, weight: float) -> None:
        for index, value in enumerate(row):
            scaled = weight * value
            self.products[index] = [
                old * _MEMORY + scaled * other for old, other in zip(self.products[index], row, strict=True)
            ]
            self.seconds[index] = self.seconds[index] * _MEMORY + scaled * seconds

    def scale(self, factor: float) -> None:
        """Let all have taken `factor` times as long."""
        self.seconds = [value * factor for value in self.seconds]


class StepCost:
    """The four numbers of one engine. Not for several threads at once."""

    def __init__(self) -> None:
        self._with_prompts, self._answers_only = _Sums(), _Sums()
        self._numbers = [0.0] * 4
        self._recent: deque[tuple[tuple[float, ...], float]] = deque(maxlen=_RECENT)
        self._off: list[float] = []
        """Of the last steps, how many times as long as expected each took, as long as all were off in one direction."""
        self.largest = 0
        """Most prompt tokens that a step was seen with: beyond that the numbers say little."""

    def observe(self, load: Load, seconds: float) -> None:
        """Note that a step took so long."""
        row, seconds = _row(load), max(seconds, _LEAST_SECONDS)
        # By the larger of the two a step counts by how far it is off in proportion, and one that is far too slow for next to nothing.
        scale = max(seconds, self._of(row))
        if load.prompt:
            self._compare(row, seconds)
            self._recent.append((row, seconds))
            self.largest = max(self.largest, load.prompt)
        sums = self._with_prompts if load.prompt else self._answers_only
        sums.add(row, seconds, 1 / scale**2)

    def _compare(self, row: tuple[float, ...], seconds: float) -> None:
        """Scale all numbers where the last steps say that the machine became slower or faster."""
        expected = self._of(row)
        if expected <= _LEAST_SECONDS:
            return  # nothing is known yet
        ratio = seconds / expected
        if 1 / _OFF < ratio < _OFF or (self._off and (self._off[-1] > 1) != (ratio > 1)):
            self._off.clear()
        if not 1 / _OFF < ratio < _OFF:
            self._off.append(ratio)
        if len(self._off) < _ALIKE:
            return
        factor = sorted(self._off)[_ALIKE // 2]
        self._off.clear()
        self._with_prompts.scale(factor)
        self._answers_only.scale(factor)
        self._numbers = [number * factor for number in self._numbers]
        before = list(self._recent)[: 1 - _ALIKE]
        self._recent.clear()
        self._recent.extend((other, took * factor) for other, took in before)

    def fit(self) -> None:
        """Find the numbers for what was observed since the last time."""
        products = [
            [one + other for one, other in zip(*rows, strict=True)]
            for rows in zip(self._with_prompts.products, self._answers_only.products, strict=True)
        ]
        seconds = [
            one + other for one, other in zip(self._with_prompts.seconds, self._answers_only.seconds, strict=True)
        ]
        numbers = self._numbers
        for _ in range(_SWEEPS):
            for index in _ORDER:
                row = products[index]
                if row[index] > 0:
                    others = sum(map(float.__mul__, row, numbers)) - row[index] * numbers[index]
                    numbers[index] = max(0.0, (seconds[index] - others) / row[index])

    def slowness(self) -> float:
        """Return how many times as long as the numbers say a step with prompts takes at worst, by the recent ones without outliers.

        It follows a machine that becomes slower within a few steps, long before the numbers do.
        """
        ratios = sorted(seconds / max(self._of(row), _LEAST_SECONDS) for row, seconds in self._recent)
        return ratios[max(len(ratios) // 2, len(ratios) - 1 - _OUTLIERS)] if ratios else 1.0

    def seconds(self, load: Load) -> float:
        """Return how long a step is expected to take."""
        return self._of(_row(load))

    def fitting(self, seconds: float, load: Load, cached: int) -> float:
        """Return how many tokens of a prompt, behind `cached` ones, a step can have beside `load` in `seconds`; infinite for any."""
        left = seconds - self.seconds(load)
        # A token of the prompt looks at what is cached, and on average at half of those that are read with it.
        each, half = self._numbers[1] + self._numbers[3] * cached / _PAIRS_UNIT, self._numbers[3] / 2 / _PAIRS_UNIT
        if left <= 0:
            return 0.0
        root = each + sqrt(each * each + 4 * half * left)
        return 2 * left / root if root > 0 else inf

    def beside_answers(self, tokens: int) -> float:
        """Return how many tokens, one of each prompt, cost as much as `tokens` of one prompt do; infinite where they cost nothing."""
        _, each, answer, _ = self._numbers
        return tokens * each / answer if answer > 0 else inf

    def _of(self, row: tuple[float, ...]) -> float:
        return sum(map(float.__mul__, row, self._numbers))


def _row(load: Load) -> tuple[float, ...]:
    return 1.0, float(load.prompt), float(load.answers), load.pairs / _PAIRS_UNIT
