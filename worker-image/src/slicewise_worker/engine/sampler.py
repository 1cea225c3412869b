"""How the next token of a sequence is chosen: the constraint, then numpy or llama.cpp's chain of samplers. Of the engine's thread.

What most ask for, the likeliest token or one by its chance, is chosen by numpy; the rest by llama.cpp.

Traps of 0.3.36: penalties over "-1 tokens" are penalties over none.
"""

from __future__ import annotations

import math
import secrets
from array import array
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.draw import Draw
from slicewise_worker.engine.llama import Context, Model
from slicewise_worker.engine.request import Chances, Generation, Sampling

_COLDEST: Final = 1e-5
"""Below this temperature nothing but the most likely token has a chance, and logits divided by it may overflow."""

_RANDOM_SEED: Final = 0xFFFFFFFF
"""llama.cpp draws a seed of its own for this one."""

LEAST_LOGPROB: Final = -9999.0
"""For a token without any chance, as OpenAI writes it."""


class Likeliest:
    """The likeliest tokens at one place, from the logits as the model gave them."""

    def __init__(self, logits: NDArray[np.float32], count: int) -> None:
        """Take the `count` likeliest tokens, at most as many as there are."""
        highest = float(logits.max())
        self._whole = highest + math.log(float(np.exp(logits - highest).sum(dtype=np.float64)))
        count = min(count, len(logits))
        tokens = np.argpartition(logits, -count)[-count:] if count else np.empty(0, np.int64)
        self._tokens = tokens[np.lexsort((tokens, -logits[tokens]))]
        self._logits = logits[self._tokens]

    def with_token(self, token: int, logit: float) -> Chances:
        """Return the chances at this place, where `token` came out."""
        logprobs = array("f", (self._logprob(float(logit)) for logit in self._logits))
        return Chances(token, self._logprob(logit), array("i", self._tokens.tolist()), logprobs)

    def _logprob(self, logit: float) -> float:
        # Written so that what is no number becomes the least, too: JSON has neither.
        return max(LEAST_LOGPROB, logit - self._whole)


def _no_more_than_temperature(sampling: Sampling) -> bool:
    penalised = sampling.frequency_penalty or sampling.presence_penalty or sampling.logit_bias
    return not (penalised or sampling.top_k or sampling.top_p < 1 or sampling.min_p > 0)


class Sampler:
    """Picks the next token of one sequence; with penalties it remembers the tokens it picked."""

    def __init__(self, model: Model, generation: Generation, window: int) -> None:
        """Build the chain; penalties look at the last `window` generated tokens."""
        self._model = model
        self._constraint = generation.constraint
        self._logprobs = generation.logprobs
        self._chain: Any = None
        self._draw: Draw | None = None
        sampling = generation.sampling
        seed = (secrets.randbits(32) if sampling.seed is None else sampling.seed) % _RANDOM_SEED
        plain, cold = _no_more_than_temperature(sampling), sampling.temperature < _COLDEST
        self.greedy = plain and cold
        """Whether it picks the likeliest token, by the constraint if there is one."""
        if plain and not cold:
            self._draw = Draw(sampling.temperature, seed)
        if not plain:
            self._chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
            for part in self._parts(model, sampling, seed, window):
                api.llama_sampler_chain_add(self._chain, part)

    @staticmethod
    def _parts(model: Model, sampling: Sampling, seed: int, window: int) -> list[Any]:
        parts: list[Any] = []
        if sampling.logit_bias:
            biases = (api.llama_logit_bias * len(sampling.logit_bias))(*sampling.logit_bias)
            parts.append(api.llama_sampler_init_logit_bias(model.vocabulary, len(biases), biases))
        if sampling.frequency_penalty or sampling.presence_penalty:
            penalties = (1.0, sampling.frequency_penalty, sampling.presence_penalty)
            parts.append(api.llama_sampler_init_penalties(model.vocabulary, window, *penalties))
        if sampling.temperature < _COLDEST:
            return [*parts, api.llama_sampler_init_greedy()]
        if sampling.top_k:
            parts.append(api.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            parts.append(api.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            parts.append(api.llama_sampler_init_min_p(sampling.min_p, 1))
        return [*parts, api.llama_sampler_init_temp(sampling.temperature), api.llama_sampler_init_dist(seed)]

    def sample(
        self, context: Context, index: int, logits: NDArray[np.float32], likely: int
    ) -> tuple[int, Chances | None]:
        """Return the next token after the token at `index` of the last batch, with its chances where they were asked for.

        `logits` are those of the context after that token, in place; `likely` is the token with the highest. Raises `ConstraintError`.
        """
        likeliest = None if self._logprobs is None else Likeliest(logits, self._logprobs)
        if self._constraint is not None:
            self._constraint.apply(logits)
            likely = int(logits.argmax())
        if self.greedy:
            token = likely
        elif self._draw is not None:
            token = self._draw(logits)
        else:
            token = int(api.llama_sampler_sample(self._chain, context.pointer, index))
        if self._constraint is not None and not self._model.tokenizer.ends(token):
            self._constraint.accept(token)
        # Of the token that was taken the constraint has left the logit as it was.
        return token, None if likeliest is None else likeliest.with_token(token, float(logits[token]))

    def close(self) -> None:
        """Free the chain and the constraint."""
        if self._chain:
            api.llama_sampler_free(self._chain)
            self._chain = None
        if self._constraint is not None:
            self._constraint.close()
            self._constraint = None
