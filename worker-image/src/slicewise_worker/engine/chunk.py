"""How many tokens of prompts the next step has, so that answers wait no longer for them than the pool allows. Pure."""

from __future__ import annotations

from math import inf
from typing import Final

from slicewise_worker.engine.step_cost import Load, StepCost

LEAST_CHUNK: Final = 8
"""However slow a step is: prompts have to end, too."""
FIRST_CHUNK: Final = 32
"""While nothing is known of prompts."""
QUIET_SECONDS: Final = 1.0
"""While no answer waits, a step may take as long: what arrives waits for the end of a step, and the watchdog looks for ends of steps."""
_AIM: Final = 0.9
"""Of the time that is allowed: what is between two steps needs some of it, and no two steps take the same time."""


class Chunks:
    """Chooses the chunk of each step of an engine, between `LEAST_CHUNK` and `most` tokens.

    `gap`: seconds that an answer may wait for its next token; infinite where each step may have `most`.
    """

    def __init__(self, most: int, gap: float) -> None:
        self.cost = StepCost()
        self._most, self._gap = most, gap
        self.now = most if gap == inf else min(most, FIRST_CHUNK)
        """Of the step that was chosen last."""
        self.spread = False
        """Whether it has one token of each prompt, as far as it goes: these are computed with the tokens of answers."""

    def observe(self, load: Load, seconds: float) -> None:
        """Note what a step took."""
        if self._gap < inf:
            self.cost.observe(load, seconds)

    def choose(self, answers: int, pairs: float, cached: int, share: int = 1, prompts: int = 1) -> int:
        """Return the chunk of a step in which `answers` get a token, the sequences of which hold `pairs` tokens in sum.

        `cached`: tokens that the longest of the prompts has in the cache. `share`: steps between two tokens of an answer. `prompts`: how
        many can be read.
        """
        if self._gap < inf:
            self.cost.fit()
            limit = self._gap / share if answers else max(self._gap, QUIET_SECONDS)
            beside = Load(0, answers, pairs)
            fits = self.cost.fitting(_AIM * limit / self.cost.slowness(), beside, cached)
            # What many times as many tokens cost is not known: a chunk grows step by step.
            most = min(self._most, max(FIRST_CHUNK, 2 * self.cost.largest))
            spread = min(prompts, self.cost.beside_answers(LEAST_CHUNK))
            self.spread = fits < LEAST_CHUNK <= spread
            self.now = int(min(most, spread if self.spread else max(LEAST_CHUNK, fits)))
        return self.now
