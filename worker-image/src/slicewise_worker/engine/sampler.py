"""How the next token of a sequence is chosen: the constraint, then llama.cpp's chain of samplers. Of the engine's thread.

Traps of 0.3.36: penalties over "-1 tokens" are penalties over none.
"""

from __future__ import annotations

from typing import Any, Final

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.llama import Context, Model
from slicewise_worker.engine.request import Generation, Sampling

_COLDEST: Final = 1e-5
"""Below this temperature nothing but the most likely token has a chance, and logits divided by it may overflow."""


class Sampler:
    """The chain that picks the next token of one sequence; it remembers the tokens it picked."""

    def __init__(self, model: Model, generation: Generation, seed: int, window: int) -> None:
        """Build the chain; penalties look at the last `window` generated tokens."""
        self._model = model
        self._constraint = generation.constraint
        self._chain: Any = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        for part in self._parts(model, generation.sampling, seed, window):
            api.llama_sampler_chain_add(self._chain, part)

    @staticmethod
    def _parts(model: Model, sampling: Sampling, seed: int, window: int) -> list[Any]:
        parts: list[Any] = []
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

    def sample(self, context: Context, index: int) -> int:
        """Return the next token after the token at `index` of the last batch; raises `ConstraintError`."""
        if self._constraint is None:
            return int(api.llama_sampler_sample(self._chain, context.pointer, index))
        self._constraint.apply(context.logits(index))
        token = int(api.llama_sampler_sample(self._chain, context.pointer, index))
        if not self._model.tokenizer.ends(token):
            self._constraint.accept(token)
        return token

    def close(self) -> None:
        """Free the chain."""
        if self._chain:
            api.llama_sampler_free(self._chain)
            self._chain = None
