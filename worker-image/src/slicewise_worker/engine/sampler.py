"""How the next token of a sequence is chosen: the constraint, then llama.cpp's chain of samplers. Of the engine's thread.

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


class Sampler:
    """The chain that picks the next token of one sequence; it remembers the tokens it picked."""

    def __init__(self, model: Model, generation: Generation, window: int) -> None:
        """Build the chain; penalties look at the last `window` generated tokens."""
        self._model = model
        self._constraint = generation.constraint
        self._logprobs = generation.logprobs
        self._chain: Any = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        seed = secrets.randbits(32) if generation.sampling.seed is None else generation.sampling.seed
        for part in self._parts(model, generation.sampling, seed % _RANDOM_SEED, window):
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

    def sample(self, context: Context, index: int) -> tuple[int, Chances | None]:
        """Return the next token after the token at `index` of the last batch, with its chances where they were asked for.

        Raises `ConstraintError`.
        """
        if self._constraint is None and self._logprobs is None:
            return int(api.llama_sampler_sample(self._chain, context.pointer, index)), None
        logits = context.logits(index)
        likeliest = None if self._logprobs is None else Likeliest(logits, self._logprobs)
        if self._constraint is not None:
            self._constraint.apply(logits)
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
